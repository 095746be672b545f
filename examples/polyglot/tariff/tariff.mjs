// What a book costs: `node tariff.mjs PORT URL-OF-THE-CATALOG`. It asks the catalog by the Connect protocol, with no package.
import { createServer } from "node:http";

const [port, catalog] = process.argv.slice(2);
const CENTS_A_PAGE = 5;
const PASSED_ON = ["traceparent", "tracestate", "connect-timeout-ms"]; // so that the trace and the deadline go on

async function book(isbn, headers) {
  const passed = PASSED_ON.filter((name) => name in headers).map((name) => [name, headers[name]]);
  const answer = await fetch(`${catalog}/bookshop.catalog.v1.Catalog/Book`, {
    method: "POST",
    headers: { "content-type": "application/json", ...Object.fromEntries(passed) },
    body: JSON.stringify({ isbn }),
  });
  const content = await answer.json();
  if (answer.ok) return content;
  if (content.code === "not_found") return null;
  throw new Error(`the catalog answered ${content.code}: ${content.message}`);
}

async function answerTo(request) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/health") return [200, { ready: true }];
  const asked = /^\/prices\/([^/]+)$/.exec(pathname);
  if (!asked) return [404, { error: "ask for /prices/ISBN" }];
  const found = await book(decodeURIComponent(asked[1]), request.headers);
  return found ? [200, { cents: found.pages * CENTS_A_PAGE }] : [404, { error: "no such book" }];
}

const server = createServer(async (request, response) => {
  const [status, content] = await answerTo(request).catch((error) => {
    console.error(error);
    return [502, { error: "the catalog could not be asked" }];
  });
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
});
server.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
