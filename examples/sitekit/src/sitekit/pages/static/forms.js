// Says beside each field what is wrong before a form is sent, and sends it once.
// Without this module the browser's own messages and the server's do the same.

document.querySelector("#trouble")?.focus();

for (const form of document.querySelectorAll("form[data-check]")) {
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    const wrong = [...form.elements].filter((field) => field.dataset.problem && !judge(field));
    if (wrong.length) {
      event.preventDefault();
      event.stopImmediatePropagation();
      wrong[0].focus();
    }
  });
  // while typing, not on leaving the field: a message that goes away under the pointer would move the button pressed
  form.addEventListener("input", ({ target }) => {
    if (target.getAttribute("aria-invalid")) judge(target);
  });
}

for (const form of document.querySelectorAll("form[data-once]")) {
  const button = form.querySelector("button[type=submit]");
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) return event.preventDefault();
    sent = true;
    button.setAttribute("aria-disabled", "true");
    const progress = form.querySelector("[data-progress]");
    if (progress) progress.textContent = form.dataset.once;
  });
  // a page that comes back from the browser's cache can be sent again
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    sent = false;
    button.removeAttribute("aria-disabled");
  });
}

function judge(field) {
  const good = field.validity.valid && (!field.required || field.value.trim() !== "");
  const box = field.closest(".field");
  const id = `${field.id}-error`;
  document.getElementById(id)?.remove();
  box.classList.toggle("wrong", !good);
  const described = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((each) => each && each !== id);
  if (good) {
    field.removeAttribute("aria-invalid");
  } else {
    const words = document.createElement("p");
    words.id = id;
    words.className = "error";
    words.textContent = field.dataset.problem;
    box.append(words);
    field.setAttribute("aria-invalid", "true");
    described.push(id);
  }
  if (described.length) field.setAttribute("aria-describedby", described.join(" "));
  else field.removeAttribute("aria-describedby");
  return good;
}
