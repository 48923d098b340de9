// The desk: sets a new item up after each swap, folds the prompt, offers undo, and keeps small conveniences.
(function () {
  "use strict";
  const SCROLL_KEY = "plumbline.scroll";
  const UNDO_MS = 10000;
  let undo = null;
  let toast = null;
  let folded = null; // what the person last chose; null = as it fits

  // htmx would carry class and style over from the old item to the new one, and the policy forbids style attributes.
  window.htmx.config.attributesToSettle = [];
  // The new item is set up in the same moment it appears: the next key belongs to it.
  window.htmx.config.defaultSettleDelay = 0;

  const desk = () => document.getElementById("desk");
  const form = () => document.getElementById("answer");
  const narrow = window.matchMedia("(max-width: 52rem)");
  const key = () => `plumbline.position.${document.getElementById("main").dataset.project}`;

  function position(step) {
    try {
      const next = Number(sessionStorage.getItem(key()) || 0) + step;
      sessionStorage.setItem(key(), String(next));
      return next;
    } catch {
      return 0;
    }
  }

  function fold(yes) {
    const prompt = document.getElementById("prompt");
    if (!prompt) return;
    prompt.classList.toggle("is-folded", yes);
    const button = prompt.querySelector(".prompt-fold");
    button.hidden = false;
    button.setAttribute("aria-expanded", String(!yes));
    button.querySelector("span").textContent = yes ? "Show all" : "Fold";
    const body = document.getElementById("prompt-body");
    // Of a conversation the last turn is what the responses answer.
    body.scrollTop = yes || body.querySelectorAll(".turn").length < 2 ? 0 : body.scrollHeight;
  }

  function toggleFold() {
    folded = !document.getElementById("prompt").classList.contains("is-folded");
    fold(folded);
  }

  function openUndo() {
    if (!undo) return false;
    const url = undo;
    undo = null;
    if (toast) toast.remove();
    window.htmx.ajax("GET", url, { target: "#desk", swap: "outerHTML" });
    return true;
  }

  function setUp(first) {
    const region = desk();
    if (!region) return;
    const { today, stored } = region.dataset;
    if (today !== undefined) document.getElementById("today").textContent = `${today} today`;
    if (stored) {
      const step = position(1);
      if (toast) toast.remove();
      undo = region.dataset.undo;
      const mine = undo;
      setTimeout(() => undo === mine && (undo = null), UNDO_MS);
      const words = { answered: "Stored", skipped: "Skipped", flagged: "Flagged", cannot_judge: "Stored as cannot judge" };
      const next = form() ? "Next item." : "";
      toast = window.plumbline.toast(`${words[stored]}. ${next}`.trim(), { undo: openUndo, undoLabel: "Undo (z)" });
      if (step && form()) form().elements.position.value = step;
    }
    const answer = form();
    if (answer) {
      if (answer.dataset.fresh !== undefined && window.crypto && crypto.randomUUID) {
        answer.elements.uuid.value = crypto.randomUUID();
      }
      if (!answer.elements.position.value) answer.elements.position.value = position(0);
      window.plumbline.timing.start(answer);
      fold(folded === null ? narrow.matches : folded);
      answer.querySelectorAll(".text-chips").forEach((row) => {
        row.hidden = false;
        markChips(row);
      });
      markNext();
    }
    window.plumbline.draft.start(answer);
    const wrong = region.querySelector(".q.has-error");
    const notice = region.querySelector(".answer-notice");
    if (wrong) {
      wrong.scrollIntoView({ block: "nearest" });
      const field = wrong.querySelector("textarea, input:checked, input");
      if (field) field.focus({ focusVisible: true });
      window.plumbline.announce(wrong.querySelector(".field-error").textContent);
    } else if (notice) notice.focus();
    else if (!first) document.getElementById("desk-title").focus();
  }

  // The question that the next digit answers.
  function markNext() {
    const slots = window.plumbline.slots ? window.plumbline.slots() : [];
    const open = slots.find((slot) => !window.plumbline.isAnswered(slot));
    document.querySelectorAll(".q.is-next").forEach((each) => each.classList.remove("is-next"));
    if (open) open.closest(".q").classList.add("is-next");
    document.querySelectorAll("[data-ranking]").forEach(sayRanking);
  }

  function sayRanking(output) {
    const rows = Array.from(output.closest(".ratings").querySelectorAll("[data-slot]"));
    const places = rows.map((row) => {
      const chosen = row.querySelector("input:checked");
      return chosen && [Number(chosen.value), row.querySelector(".rating-letter").textContent];
    });
    if (places.some((place) => !place)) output.textContent = "";
    else {
      const sorted = places.sort((one, other) => one[0] - other[0]);
      output.textContent = sorted.map(([place, letter], index) =>
        index === 0 ? letter : (place === sorted[index - 1][0] ? " = " : " > ") + letter).join("");
    }
  }

  function markChips(row) {
    const text = form().elements[row.dataset.chips].value;
    row.querySelectorAll(".chip").forEach((chip) =>
      chip.setAttribute("aria-pressed", String(text.split("; ").includes(chip.textContent))));
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest(".prompt-fold")) toggleFold();
    const chip = event.target.closest(".text-chips .chip");
    if (chip) {
      const row = chip.closest(".text-chips");
      const field = form().elements[row.dataset.chips];
      const parts = field.value.split("; ").filter((part) => part !== "");
      const at = parts.indexOf(chip.textContent);
      if (at === -1) parts.push(chip.textContent);
      else parts.splice(at, 1);
      field.value = parts.join("; ");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const mode = event.target.closest("[data-scroll-mode]");
    if (mode) setScroll(document.body.dataset.scroll === "together" ? "each" : "together");
  });

  document.addEventListener("input", (event) => {
    if (!event.target.form || event.target.form.id !== "answer") return;
    event.target.form.querySelectorAll(".text-chips").forEach(markChips);
  });
  document.addEventListener("change", (event) => {
    if (!event.target.form || event.target.form.id !== "answer") return;
    const question = event.target.closest(".q.has-error");
    if (question) question.classList.remove("has-error");
    markNext();
  });

  function setScroll(mode) {
    document.body.dataset.scroll = mode;
    document.querySelectorAll("[data-scroll-mode]").forEach((button) => {
      button.hidden = false;
      button.textContent = mode === "together" ? "Scroll: all together" : "Scroll: each response";
    });
    try {
      localStorage.setItem(SCROLL_KEY, mode);
    } catch {
      // Without storage the choice lasts until the next page.
    }
  }

  // htmx settles after the swap; focus then is not lost to it.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "desk" || (event.detail.elt && event.detail.elt.id === "desk")) setUp(false);
  });
  document.addEventListener("DOMContentLoaded", () => {
    let mode = "each";
    try {
      mode = localStorage.getItem(SCROLL_KEY) || mode;
    } catch {
      // as usual
    }
    setScroll(mode);
    setUp(true);
  });

  window.plumbline = Object.assign(window.plumbline || {}, { openUndo, toggleFold, fold });
})();
