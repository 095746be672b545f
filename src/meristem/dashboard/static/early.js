// Before all else: the scheme, and what to do when a part of the page does not arrive.

const TRIALS = 3; // within a minute; then a person decides

// Before anything is painted: the scheme that was chosen here, else that of the system.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing shows the system's scheme.
}

/** Load the page again in a second, since its system restarts or the network changed; false after some trials. */
globalThis.reloadSoon = () => {
  try {
    const minute = Math.floor(Date.now() / 60_000);
    const [last, trials] = (sessionStorage.getItem("reloads") ?? "0 0").split(" ").map(Number);
    if (last === minute && trials >= TRIALS) return false;
    sessionStorage.setItem("reloads", `${minute} ${last === minute ? trials + 1 : 1}`);
  } catch {
    return false;
  }
  setTimeout(() => location.reload(), 1000);
  return true;
};

// A module or a style that is missing leaves a page that does nothing.
addEventListener("error", ({ target }) => {
  if (!(target instanceof HTMLScriptElement || (target instanceof HTMLLinkElement && target.rel === "stylesheet"))) return;
  if (target.src?.includes("/vendor/") || globalThis.reloadSoon()) return;
  document.querySelector("#main").textContent = "The dashboard could not be loaded. Reload the page to try it again.";
}, true);
