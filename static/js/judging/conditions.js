// Asks a question with a condition only while the condition holds; the rules are those of projects/conditions.py.
(function () {
  "use strict";
  const form = () => document.getElementById("answer");
  const kindOf = (question) => ["comparison", "rating", "ranking", "thumb", "choice", "text", "span", "rewrite"]
    .find((kind) => question.classList.contains(`q-${kind}`));

  function entered(question) {
    const found = [];
    question.querySelectorAll("input, textarea").forEach((field) => {
      if (!field.name || field.name.endsWith("-of")) return;
      if ((field.type === "radio" || field.type === "checkbox") && !field.checked) return;
      if (field.value.trim() !== "") found.push(field.value);
    });
    return found;
  }

  // What was answered: {words, numbers}, or null for nothing.
  function given(question) {
    const kind = kindOf(question);
    const values = entered(question);
    if (kind === "span") {
      const marks = values.length ? JSON.parse(values[0]) : [];
      return marks.length ? { words: marks.map((mark) => mark.label), numbers: [] } : null;
    }
    if (kind === "rewrite") {
      return values.length && !window.plumbline.untouchedRewrite(question) ? { words: [], numbers: [] } : null;
    }
    if (!values.length) return null;
    if (kind === "text") return { words: [], numbers: [] };
    if (kind === "choice") return { words: values, numbers: [] };
    if (kind === "comparison") {
      const strength = Number(values[0]);
      if (Number.isNaN(strength)) return { words: values, numbers: [0] };
      return { words: [strength < 0 ? "left" : "right"], numbers: [Math.abs(strength)] };
    }
    return { words: values, numbers: values.map(Number) };
  }

  function holds(condition, answer) {
    if (!answer) return false;
    if (condition.op === "answered") return true;
    if (condition.op === "is") return answer.words.some((word) => condition.values.includes(word));
    if (condition.op === "at_least") return answer.numbers.some((number) => number >= condition.number);
    return answer.numbers.some((number) => number <= condition.number);
  }

  function apply(first) {
    const current = form();
    if (!current || !current.querySelector("[data-when]")) return;
    const asked = new Map();
    let changed = false;
    current.querySelectorAll(".q").forEach((question) => {
      let yes = true;
      if (question.dataset.when) {
        const condition = JSON.parse(question.dataset.when);
        const other = asked.get(condition.question);
        yes = Boolean(other) && holds(condition, given(other));
        if (question.hidden === yes) {
          changed = true;
          question.hidden = !yes;
          question.disabled = !yes;
          const label = question.querySelector(".q-label").firstChild.textContent.trim();
          if (!first && yes) window.plumbline.announce(window.plumbline.say("now_asked", { label }));
        }
      }
      if (yes) asked.set(question.dataset.q, question);
    });
    if (changed) document.dispatchEvent(new CustomEvent("plumbline:asked"));
  }

  for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => {
      if (event.target.form && event.target.form.id === "answer") apply(false);
    });
  }

  window.plumbline = Object.assign(window.plumbline || {}, { applyConditions: () => apply(true) });
})();
