// A field takes the key that is pressed in it; Backspace and Delete empty it, Tab and Escape go on as usual.
(function () {
  "use strict";
  const NAMED = ["Enter", "ArrowLeft", "ArrowRight"];

  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (!field.matches || !field.matches("[data-key-input]")) return;
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    let key = null;
    if (event.key === "Backspace" || event.key === "Delete") key = "";
    else if (NAMED.includes(event.key)) key = event.key;
    else if ([...event.key].length === 1 && event.key !== " ") key = event.key.toLowerCase();
    if (key === null) return;
    event.preventDefault();
    field.value = key;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
})();
