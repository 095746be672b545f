// Proposes cities while one is typed: a combobox with a list, as the ARIA Authoring Practices describe it.
// Without this module the field is an ordinary text field.

for (const input of document.querySelectorAll("input[data-cities]")) propose(input);

function propose(input) {
  const list = document.createElement("ul");
  const status = document.createElement("p");
  let asked = 0;
  let active = -1;

  list.id = `${input.id}-choices`;
  list.className = "choices";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Cities");
  list.hidden = true;
  status.className = "hidden";
  status.setAttribute("role", "status");
  input.after(list, status);
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", list.id);

  input.addEventListener("input", ask);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const { length } = list.children;
    if (event.key === "Escape" && !list.hidden) {
      close();
      event.preventDefault();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && length) {
      if (list.hidden) open();
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark(active < 0 && step < 0 ? length - 1 : (active + step + length) % length);
      event.preventDefault();
    } else if (event.key === "Enter" && !list.hidden && active >= 0) {
      choose(list.children[active]);
      event.preventDefault();
    }
  });
  // pressing must not take the focus from the field, or the list would close before the click
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) choose(item);
  });

  async function ask() {
    const turn = ++asked;
    const prefix = input.value.trim();
    if (!prefix) return close();
    let cities;
    try {
      const answer = await fetch(`${input.dataset.cities}?prefix=${encodeURIComponent(prefix)}`);
      cities = answer.ok ? await answer.json() : [];
    } catch {
      cities = []; // proposals are a help, not a need
    }
    if (turn !== asked || document.activeElement !== input) return;
    list.replaceChildren(...cities.map(entry));
    if (!cities.length) return close();
    open();
    status.textContent = cities.length === 1 ? "1 city proposed" : `${cities.length} cities proposed`;
  }

  function entry(city, index) {
    const item = document.createElement("li");
    const country = document.createElement("span");
    item.id = `${list.id}-${index}`;
    item.dataset.name = city.name;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    country.className = "muted";
    country.textContent = city.country;
    item.append(city.name, " ", country);
    return item;
  }

  function mark(index) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const item = list.children[active];
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", item.id);
  }

  function choose(item) {
    input.value = item.dataset.name;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    close();
  }

  function open() {
    active = -1;
    input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-expanded", "true");
    list.hidden = false;
  }

  function close() {
    asked += 1;
    active = -1;
    list.hidden = true;
    status.textContent = "";
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
}
