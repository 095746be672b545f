// Keeps a booking's timeline up to date until everything is done.
// Without this module the page has a link that shows it anew.

let shown = "";
const section = document.querySelector("[data-tracking]");
if (section && !("settled" in section.dataset)) follow(section, 700);

async function follow(place, wait) {
  await new Promise((resolve) => setTimeout(resolve, wait));
  if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  let settled = false;
  try {
    const answer = await fetch(place.dataset.tracking, { headers: { Accept: "application/json" } });
    if (answer.redirected || answer.status === 404) return; // signed out meanwhile: the refresh link remains
    if (answer.ok) settled = show(place, await answer.json());
  } catch {
    // offline or restarting: ask again later
  }
  if (!settled) await follow(place, Math.min(wait * 1.4, 10_000));
}

function show(place, news) {
  if (news.status !== document.querySelector("[data-status]").textContent) location.reload(); // heading and notices change
  const progress = place.querySelector("[data-progress]");
  const focused = progress.contains(document.activeElement);
  if (shown !== news.html) {
    progress.innerHTML = news.html; // rendered and escaped by the same template as the page
    shown = news.html;
    if (focused) progress.querySelector("a")?.focus();
  }
  const announcement = place.querySelector("[data-announcement]");
  if (announcement.textContent !== news.text) announcement.textContent = news.text;
  return news.settled;
}
