// The whole loop by keyboard, with the person's own keys (#keymap). Off inside texts. `event.key` first, so that a
// key is what it says on any layout; where a layout has no such letters or digits, the place of the key decides.
(function () {
  "use strict";
  const form = () => document.getElementById("answer");
  const typing = (element) => element && (element.matches("textarea, select, [contenteditable]")
    || (element.matches("input") && !["radio", "checkbox", "button", "submit"].includes(element.type)));
  const CAPS = { Enter: "⏎", ArrowLeft: "←", ArrowRight: "→" };
  const LIKE = { "؟": "?", "？": "?" };

  let map = {}; // action → key, "" where it is off
  let actionOf = {}; // key → action

  function readMap() {
    map = JSON.parse(document.getElementById("keymap").textContent);
    actionOf = Object.fromEntries(Object.entries(map).filter(([, key]) => key).map(([name, key]) => [key, name]));
  }

  // Every cap on the page shows this person's key, or nothing where the key is off.
  function showCaps() {
    document.querySelectorAll("[data-kbd]").forEach((cap) => {
      const key = map[cap.dataset.kbd] || "";
      cap.hidden = !key;
      cap.textContent = CAPS[key] || key;
    });
    document.body.classList.toggle("no-digit-keys", !map.digits);
  }

  // The sheet of keys holds what this item's responses and questions take; between items it holds everything.
  function fitHelp() {
    const region = document.getElementById("desk");
    const n = region && region.dataset.n ? Number(region.dataset.n) : 0;
    const compares = Boolean(form() && form().querySelector(".q-comparison"));
    document.querySelectorAll("#help [data-action]").forEach((row) => {
      const name = row.dataset.action;
      const place = /^pane_(\d)$/.exec(name);
      row.hidden = n > 0 && ((place && Number(place[1]) > n) || (name === "layout" && n < 2)
        || (["left", "right", "tie", "both_bad"].includes(name) && form() && !compares));
      if (!row.dataset.alone) return;
      const words = row.querySelector("dd");
      row.dataset.words = row.dataset.words || words.textContent;
      words.textContent = n === 1 ? row.dataset.alone : row.dataset.words;
    });
  }

  // The candidates for one press, best first: what is written on the key, then what stands there on a Latin layout.
  function candidates(event) {
    const key = LIKE[event.key] || event.key;
    const found = [[...key].length === 1 ? key.toLowerCase() : key];
    const letter = /^Key([A-Z])$/.exec(event.code);
    if (letter && !/^[a-z]$/i.test(key)) found.push(letter[1].toLowerCase());
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    if (digit && !event.shiftKey && !/^[0-9]$/.test(key)) found.push(digit[1]);
    return found;
  }

  const open = (selector) => (form() ? Array.from(form().querySelectorAll(selector)) : [])
    .filter((each) => !each.closest("fieldset:disabled, [hidden]"));
  // A form that can only be read takes no key that would answer.
  const isLocked = () => !form() || Boolean(form().querySelector(".locked"));

  const slots = () => open("[data-slot]");
  const isAnswered = (slot) => Boolean(slot.querySelector("input:checked"))
    || Array.from(slot.querySelectorAll("input[type=number]")).some((field) => field.value !== "");

  function current() {
    const all = slots();
    const here = document.activeElement && document.activeElement.closest("[data-slot]");
    return here || all.find((slot) => !isAnswered(slot)) || all[0] || null;
  }

  // Where the next- and previous-question keys stop: rows of choices, texts to write, the button that marks parts.
  const STOPS = "[data-slot], .q textarea, .span-start";
  let left = null; // the stop that Escape led out of: the keys go on from there

  function isFilled(stop) {
    if (stop.matches("textarea")) return stop.value.trim() !== "" && !window.plumbline.untouchedRewrite(stop.closest(".q"));
    if (stop.matches(".span-start")) return stop.closest(".span-tool").querySelector("input").value !== "";
    return isAnswered(stop);
  }

  function focusStop(stop) {
    const question = stop.closest(".q");
    document.dispatchEvent(new CustomEvent("plumbline:question", { detail: question.dataset.q }));
    const field = stop.matches("[data-slot]") ? stop.querySelector("input:checked") || stop.querySelector("input") : stop;
    if (field) field.focus();
    question.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = open(STOPS);
    if (!all.length) return false;
    const at = all.indexOf((document.activeElement && document.activeElement.closest(STOPS)) || left);
    if (at === -1) focusStop(step > 0 ? all.find((stop) => !isFilled(stop)) || all[0] : all[all.length - 1]);
    else focusStop(all[Math.min(all.length - 1, Math.max(0, at + step))]);
    left = null;
    return true;
  }

  function choose(slot, field, stay) {
    field.checked = field.type === "checkbox" ? !field.checked : true;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    const all = slots();
    const later = all.slice(all.indexOf(slot) + 1).find((each) => !isAnswered(each));
    if (field.type === "checkbox" || !later || stay) focusStop(slot);
    else focusStop(later);
  }

  function digit(key) {
    const slot = current();
    const field = slot && slot.querySelector(`input[data-key="${key}"]`);
    if (field) choose(slot, field);
    return Boolean(field);
  }

  function comparison() {
    const here = document.activeElement && document.activeElement.closest(".q-comparison");
    const open = slots().find((slot) => slot.closest(".q-comparison") && !isAnswered(slot));
    const question = here || (open && open.closest(".q-comparison"))
      || (form() && form().querySelector(".q-comparison:not(:disabled)"));
    return question ? question.querySelector("[data-slot]") : null;
  }

  // From nothing chosen to the weakest answer of that side, then one answer further; never around the end.
  function shift(step) {
    const here = document.activeElement;
    if (here && (here.closest("pre, .table-scroll") || here.closest("[data-slot]:not(.q-comparison [data-slot])"))) return false;
    const slot = comparison();
    if (!slot) return false;
    const all = Array.from(slot.querySelectorAll("input[type=radio]"));
    const at = all.findIndex((field) => field.checked);
    const side = (field) => Math.sign(Number(field.value));
    const next = at !== -1 ? at + step
      : step < 0 ? all.findLastIndex((field) => side(field) === -1) : all.findIndex((field) => side(field) === 1);
    if (all[next]) choose(slot, all[next], true);
    return true;
  }

  function tie(values) {
    const slot = comparison();
    for (const value of slot ? values : []) {
      const field = slot.querySelector(`input[value="${value}"]`);
      if (field) {
        choose(slot, field);
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

  function box(action) {
    const found = document.querySelector(`[data-box="${action}"]`);
    if (!found || isLocked()) return false;
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
    if (!field || field.matches(":disabled")) return false;
    document.dispatchEvent(new CustomEvent("plumbline:question", { detail: field.closest(".q").dataset.q }));
    field.focus();
    return true;
  }

  // Where an explanation stands there is no form: the key that submits goes on to the next item.
  function goOn() {
    const link = document.querySelector("#desk a[data-go-on]");
    if (link) link.click();
    return Boolean(link);
  }

  function submit() {
    if (!form()) return goOn();
    if (isLocked() || form().inert) return false;
    form().requestSubmit(form().querySelector(".submit"));
    return true;
  }

  // An action returns whether it did something. Modules of one question kind add theirs with `plumbline.onKey`.
  const ACTIONS = {
    left: () => shift(-1), right: () => shift(1), tie: () => tie(["equal", "equal_good"]),
    both_bad: () => tie(["equal_bad"]), justification: why, next_question: () => move(1),
    previous_question: () => move(-1), submit, undo: () => window.plumbline.openUndo(),
    cannot_judge: () => box("cannot_judge"), skip: () => box("skip"), flag: () => box("flag"), prompt,
    guidelines: () => sheet("guidelines"), help: () => sheet("help"),
  };
  for (let place = 0; place < 8; place += 1) ACTIONS[`pane_${place + 1}`] = () => pane(place);

  function act(event) {
    for (const key of candidates(event)) {
      const name = Object.hasOwn(actionOf, key) ? actionOf[key] : null;
      if (name && Object.hasOwn(ACTIONS, name)) return Boolean(ACTIONS[name](event));
      if (map.digits && /^[0-9]$/.test(key)) return digit(key);
    }
    return false;
  }

  function inBox(open, event) {
    const key = candidates(event).find((each) => /^[1-9]$/.test(each));
    const button = key && open.querySelectorAll(".box-options button")[Number(key) - 1];
    if (button && map.digits && !event.repeat) {
      event.preventDefault();
      button.click();
    }
    // The key that opened a sheet closes it again.
    const name = candidates(event).map((each) => actionOf[each]).find(Boolean);
    if (name && name === open.id) {
      event.preventDefault();
      open.hidePopover();
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || event.altKey || event.getModifierState("AltGraph")) return;
    if (!event.key || document.querySelector("dialog[open]")) return;
    const here = document.activeElement;
    const popover = document.querySelector(":popover-open");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !popover) {
      if (submit()) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (typing(here)) {
      if (event.key === "Escape" && !popover) {
        const question = here.closest(".q");
        left = here.closest(STOPS);
        here.blur();
        if (question) document.getElementById("desk-title").focus();
      }
      return;
    }
    if (popover) {
      inBox(popover, event);
      return;
    }
    if (form() && form().inert) return;
    // Enter presses the button or link that has the focus; held down, it submits nothing more.
    if (event.key === "Enter" && (event.repeat || (here && here.closest("button, a, summary")))) return;
    if (act(event)) event.preventDefault();
  });

  // Whoever goes somewhere else begins anew.
  document.addEventListener("focusin", (event) => {
    if (event.target.id !== "desk-title") left = null;
  });
  function setUp() {
    showCaps();
    fitHelp();
  }
  document.addEventListener("DOMContentLoaded", () => {
    readMap();
    setUp();
  });
  document.addEventListener("htmx:afterSettle", setUp);

  window.plumbline = Object.assign(window.plumbline || {}, {
    slots, isAnswered, cap: (name) => (map[name] ? CAPS[map[name]] || map[name] : ""), onKey: (name, run) => (ACTIONS[name] = run),
  });
})();
