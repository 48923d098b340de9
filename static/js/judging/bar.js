// The answer bar: sets the questions of a form up, presses chips into texts, and marks the question that comes next.
(function () {
  "use strict";
  const form = () => document.getElementById("answer");
  const slots = () => (window.plumbline.slots ? window.plumbline.slots() : []); // a preview has no keys

  // The question that the next digit answers.
  function markNext() {
    const open = slots().find((slot) => !window.plumbline.isAnswered(slot));
    document.querySelectorAll(".q.is-next").forEach((each) => each.classList.remove("is-next"));
    if (open) open.closest(".q").classList.add("is-next");
  }

  // What an error asked for is done once the question is answered for every response.
  function settle(question) {
    question.classList.remove("has-error");
    const open = slots().some((slot) => question.contains(slot) && !window.plumbline.isAnswered(slot));
    if (open) return;
    question.removeAttribute("aria-describedby");
    question.querySelector(".field-error").remove();
  }

  function markChips(row) {
    const text = form().elements[row.dataset.chips].value;
    row.querySelectorAll(".chip").forEach((chip) =>
      chip.setAttribute("aria-pressed", String(text.split("; ").includes(chip.textContent))));
  }

  const markAllChips = () => form().querySelectorAll(".text-chips").forEach((row) => {
    row.hidden = false;
    markChips(row);
  });

  function setUpBar() {
    markAllChips();
    window.plumbline.setUpRankings();
    window.plumbline.setUpRewrites();
    window.plumbline.setUpSpans();
    window.plumbline.applyConditions();
    markNext();
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest(".text-chips .chip");
    if (!chip) return;
    const row = chip.closest(".text-chips");
    const field = form().elements[row.dataset.chips];
    const parts = field.value.split("; ").filter((part) => part !== "");
    const at = parts.indexOf(chip.textContent);
    if (at === -1) parts.push(chip.textContent);
    else parts.splice(at, 1);
    field.value = parts.join("; ");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });

  document.addEventListener("plumbline:asked", markNext);
  document.addEventListener("input", (event) => {
    if (event.target.form && event.target.form.id === "answer") markAllChips();
  });
  // Filled in by another tab: everything that is drawn beside the fields follows.
  document.addEventListener("plumbline:filled", (event) => {
    if (!event.detail.later) return;
    window.plumbline.showRankings();
    setUpBar();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.form || event.target.form.id !== "answer") return;
    const question = event.target.closest(".q:has(.field-error)");
    if (question) settle(question);
    markNext();
  });

  window.plumbline = Object.assign(window.plumbline || {}, { setUpBar });
})();
