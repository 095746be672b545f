// Finds the places of a map beside the page, which stays quick meanwhile.

import { place } from "./layout.js";

addEventListener("message", ({ data: { number, nodes, edges, options } }) => {
  try {
    postMessage({ number, placed: place(nodes, edges, options) });
  } catch (error) {
    postMessage({ number, problem: String(error) });
  }
});
