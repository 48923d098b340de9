// The whole loop by keyboard. Keys are off inside texts; event.key, so that any keyboard layout works.
(function () {
  "use strict";
  const form = () => document.getElementById("answer");
  const typing = (element) => element && (element.matches("textarea, select, [contenteditable]")
    || (element.matches("input") && !["radio", "checkbox", "button", "submit"].includes(element.type)));

  const slots = () => (form() ? Array.from(form().querySelectorAll("[data-slot]")) : []);
  const isAnswered = (slot) => Boolean(slot.querySelector("input:checked"))
    || Array.from(slot.querySelectorAll("input[type=number]")).some((field) => field.value !== "");

  function current() {
    const all = slots();
    const here = document.activeElement && document.activeElement.closest("[data-slot]");
    return here || all.find((slot) => !isAnswered(slot)) || all[0] || null;
  }

  function focusSlot(slot) {
    const question = slot.closest(".q");
    document.dispatchEvent(new CustomEvent("plumbline:question", { detail: question.dataset.q }));
    const field = slot.querySelector("input:checked") || slot.querySelector("input");
    if (field) field.focus();
    question.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = slots();
    const at = all.indexOf(document.activeElement && document.activeElement.closest("[data-slot]"));
    if (!all.length) return;
    if (at === -1) focusSlot(step > 0 ? all.find((slot) => !isAnswered(slot)) || all[0] : all[all.length - 1]);
    else focusSlot(all[Math.min(all.length - 1, Math.max(0, at + step))]);
  }

  function choose(slot, field) {
    field.checked = field.type === "checkbox" ? !field.checked : true;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    const all = slots();
    const later = all.slice(all.indexOf(slot) + 1).find((each) => !isAnswered(each));
    if (field.type === "checkbox" || !later) focusSlot(slot);
    else focusSlot(later);
  }

  function digit(key) {
    const slot = current();
    const field = slot && slot.querySelector(`input[data-key="${key}"]`);
    if (field) choose(slot, field);
    return Boolean(field);
  }

  function tie(values) {
    const here = document.activeElement && document.activeElement.closest(".q-comparison");
    const question = here || (form() && form().querySelector(".q-comparison"));
    if (!question) return false;
    for (const value of values) {
      const field = question.querySelector(`input[value="${value}"]`);
      if (field) {
        choose(field.closest("[data-slot]"), field);
        return true;
      }
    }
    return false;
  }

  function pane(place) {
    const section = document.querySelector(`[data-pane="${place}"]`);
    if (!section) return false;
    document.dispatchEvent(new CustomEvent("plumbline:pane", { detail: place }));
    section.focus();
    return true;
  }

  function prompt() {
    const body = document.getElementById("prompt-body");
    if (!body) return false;
    const folded = document.getElementById("prompt").classList.contains("is-folded");
    if (folded || document.activeElement === body) window.plumbline.toggleFold();
    body.focus();
    return true;
  }

  function box(letter) {
    const found = document.querySelector(`[data-box="${letter}"]`);
    if (!found || !form()) return false;
    found.showPopover();
    found.querySelector("button").focus();
    return true;
  }

  function sheet(id) {
    const found = document.getElementById(id);
    if (!found) return false;
    found.showPopover();
    found.querySelector(".sheet-body").focus();
    return true;
  }

  function why() {
    const field = form() && (form().querySelector("#x-reason") || form().querySelector(".q-text textarea"));
    if (!field) return false;
    document.dispatchEvent(new CustomEvent("plumbline:question", { detail: field.closest(".q").dataset.q }));
    field.focus();
    return true;
  }

  function submit() {
    if (!form() || form().inert) return false;
    form().requestSubmit(form().querySelector(".submit"));
    return true;
  }

  const ACTIONS = {
    a: () => pane(0), d: () => pane(1), p: prompt, j: why, t: () => tie(["equal", "equal_good"]),
    b: () => tie(["equal_bad"]), u: () => box("u"), s: () => box("s"), f: () => box("f"),
    g: () => sheet("guidelines"), "?": () => sheet("help"), z: () => window.plumbline.openUndo(),
    e: () => (move(1), true), q: () => (move(-1), true),
  };

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || event.altKey) return;
    const here = document.activeElement;
    const open = document.querySelector(":popover-open");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !open) {
      if (submit()) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (typing(here)) {
      if (event.key === "Escape" && !open) {
        const question = here.closest(".q");
        here.blur();
        if (question) document.getElementById("desk-title").focus();
      }
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (open) {
      const button = open.querySelectorAll(".box-options button")[Number(key) - 1];
      if (button && !event.repeat) {
        event.preventDefault();
        button.click();
      }
      return;
    }
    if (form() && form().inert) return;
    if (key === "Enter") {
      if (event.repeat || (here && here.closest("button, a, summary"))) return;
      if (submit()) event.preventDefault();
      return;
    }
    const acted = /^[0-9]$/.test(key) ? digit(key) : Object.hasOwn(ACTIONS, key) && ACTIONS[key]();
    if (acted) event.preventDefault();
  });

  window.plumbline = Object.assign(window.plumbline || {}, { slots, isAnswered });
})();
