// The desk: sets a new item up after each swap, folds the prompt, offers undo, and keeps small conveniences.
(function () {
  "use strict";
  const UNDO_MS = 10000;
  let undo = null;
  let toast = null;
  let folded = null; // what the person last chose; null = as it fits

  // htmx would carry class and style over from the old item to the new one, and the policy forbids style attributes.
  window.htmx.config.attributesToSettle = [];
  // The new item is set up in the same moment it appears: the next key belongs to it.
  window.htmx.config.defaultSettleDelay = 0;

  const say = (key, values) => window.plumbline.say(key, values);
  const desk = () => document.getElementById("desk");
  const form = () => document.getElementById("answer");
  const narrow = window.matchMedia("(max-width: 52rem)");

  // Whether folding hides anything: a short prompt needs no button that shows the rest.
  function isCut(prompt) {
    const prose = Array.from(prompt.querySelectorAll(".turn .prose"));
    const last = prose[prose.length - 1];
    return prose.length > 1 || Boolean(prompt.querySelector(".context")) || !last || last.scrollHeight > last.clientHeight + 1;
  }

  function fold(yes) {
    const prompt = document.getElementById("prompt");
    if (!prompt) return;
    prompt.classList.toggle("is-folded", yes);
    const button = prompt.querySelector(".prompt-fold");
    button.hidden = folded === null && yes && !isCut(prompt);
    button.setAttribute("aria-expanded", String(!yes));
    button.querySelector("span").textContent = say(yes ? "unfold" : "fold");
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
    document.dispatchEvent(new CustomEvent("plumbline:shown"));
    window.plumbline.setUpLayout();
    const { today, stored } = region.dataset;
    if (today !== undefined) document.getElementById("today").textContent = say("today", { n: today });
    if (stored) {
      window.plumbline.sitting.step();
      if (toast) toast.remove();
      undo = region.dataset.undo;
      const mine = undo;
      setTimeout(() => undo === mine && (undo = null), UNDO_MS);
      const words = [say(`stored_${stored}`), form() ? say("next_item") : ""].join(" ").trim();
      const key = window.plumbline.cap("undo");
      toast = window.plumbline.toast(words, {
        undo: openUndo, undoLabel: key ? say("undo_key", { key }) : say("undo"),
      });
    }
    const answer = form();
    if (answer) {
      if (answer.dataset.fresh !== undefined && window.crypto && crypto.randomUUID) {
        answer.elements.uuid.value = crypto.randomUUID();
      }
      answer.elements.position.value = window.plumbline.sitting.position();
      window.plumbline.draft.start(answer);
      window.plumbline.timing.start(answer);
      fold(folded === null ? narrow.matches : folded);
      window.plumbline.setUpBar();
    } else window.plumbline.draft.start(null);
    const wrong = region.querySelector(".q.has-error");
    const notice = region.querySelector(".answer-notice");
    if (wrong) {
      wrong.scrollIntoView({ block: "nearest" });
      const field = wrong.querySelector("textarea, input:checked, input");
      if (field) field.focus({ focusVisible: true });
      window.plumbline.announce(wrong.querySelector(".field-error").textContent);
    } else if (notice) notice.focus();
    // Of guidelines Tab leads through the text to the button, not through the menu first.
    else if (!first || region.querySelector(".gate-text")) document.getElementById("desk-title").focus();
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest(".prompt-fold")) toggleFold();
  });

  // htmx settles after the swap; focus then is not lost to it.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "desk" || (event.detail.elt && event.detail.elt.id === "desk")) setUp(false);
  });
  document.addEventListener("DOMContentLoaded", () => {
    setUp(true);
  });

  window.plumbline = Object.assign(window.plumbline || {}, { openUndo, toggleFold, fold });
})();
