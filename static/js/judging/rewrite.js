// A better text that starts from a response: the one preferred so far, or the one the person picks.
// What the person typed is never overwritten; a text that still is the response itself is not sent.
(function () {
  "use strict";
  const say = (key, values) => window.plumbline.say(key, values);
  const sources = new Map(); // place → the response's text as it is stored
  const form = () => document.getElementById("answer");
  const boxes = () => Array.from(document.querySelectorAll("#answer .rewrite"));
  const paneCount = () => document.querySelectorAll("#desk [data-pane]").length;
  const textOf = (box) => box.querySelector("textarea");
  const radios = (box) => Array.from(box.querySelectorAll("input[type=radio]"));
  const isUntouched = (box) => box.dataset.prefilled !== undefined && textOf(box).value === box.prefilled;

  async function source(place) {
    const sample = document.getElementById("sample-texts"); // a preview has no assignment to ask for
    if (sample) return JSON.parse(sample.textContent)[place];
    if (!sources.has(place)) {
      const current = form();
      const answer = await fetch(`${current.dataset.texts}&place=${place}`, { headers: { "X-Outbox": "1" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = (await answer.text()).replace(/\r\n?/g, "\n");
      if (form() !== current) throw new Error("gone");
      sources.set(place, text);
    }
    return sources.get(place);
  }

  // The places that may be the best one by what is answered so far; null where nothing says so.
  function best() {
    const current = form();
    const all = (kind) => Array.from(current.querySelectorAll(`.q-${kind}:not(:disabled)`));
    const lead = (question, highest) => {
      const rows = Array.from(question.querySelectorAll("[data-slot]")).map((row) => {
        const field = row.querySelector("input:checked, input[type=number]");
        return field && field.value !== "" ? Number(field.value) : null;
      });
      if (!rows.length || rows.some((value) => value === null)) return null;
      const top = highest ? Math.max(...rows) : Math.min(...rows);
      return rows.flatMap((value, place) => (value === top ? [place] : []));
    };
    for (const question of all("ranking")) {
      const found = lead(question, false);
      if (found) return found;
    }
    const comparisons = all("comparison");
    const main = comparisons.find((each) => each.dataset.q === "overall") || comparisons[0];
    if (main && paneCount() === 2) {
      const chosen = main.querySelector("input:checked");
      if (!chosen) return null;
      const strength = Number(chosen.value);
      return Number.isNaN(strength) ? [0, 1] : [strength < 0 ? 0 : 1];
    }
    const rating = all("rating")[0];
    return rating ? lead(rating, true) : null;
  }

  async function prefill(box) {
    const chosen = radios(box).find((field) => field.checked);
    const text = textOf(box);
    if (!chosen || text.disabled || text.matches(":disabled")) return;
    if (text.value !== "" && !isUntouched(box)) return;
    try {
      const words = await source(Number(chosen.value));
      if (!box.isConnected || (text.value !== "" && !isUntouched(box)) || !chosen.checked) return;
      box.prefilled = words;
      box.dataset.prefilled = "";
      text.value = words;
      show(box);
    } catch {
      box.querySelector(".rewrite-state").textContent = say("rewrite_failed");
    }
  }

  function show(box) {
    const text = textOf(box);
    const typed = text.value !== "" && !isUntouched(box);
    box.querySelector(".rewrite-clear").hidden = !typed || text.matches(":disabled");
    box.querySelector(".rewrite-state").textContent = isUntouched(box) ? say("rewrite_untouched") : "";
  }

  function follow() {
    boxes().filter((box) => !box.closest(".locked")).forEach((box) => {
      if (box.dataset.of === "best") {
        const found = best();
        radios(box).forEach((field) => {
          const fits = !found || found.includes(Number(field.value));
          field.disabled = !fits;
          if (!fits) field.checked = false;
        });
        if (found && found.length === 1) radios(box)[found[0]].checked = true;
      }
      prefill(box);
      show(box);
    });
  }

  function setUp() {
    sources.clear();
    follow();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".rewrite-clear");
    if (!button) return;
    const box = button.closest(".rewrite");
    textOf(box).value = "";
    textOf(box).dispatchEvent(new Event("input", { bubbles: true }));
    prefill(box).then(() => textOf(box).focus());
  });
  document.addEventListener("change", (event) => {
    if (event.target.form && event.target.form.id === "answer" && boxes().length) follow();
  });
  document.addEventListener("input", (event) => {
    const box = event.target.closest && event.target.closest(".rewrite");
    if (box) show(box);
  });
  document.addEventListener("plumbline:asked", () => boxes().length && follow());

  // Whoever reads the form, htmx or the draft: the response itself is no rewrite.
  document.addEventListener("formdata", (event) => {
    if (event.target.id !== "answer") return;
    boxes().forEach((box) => isUntouched(box) && event.formData.delete(textOf(box).name));
  });

  window.plumbline = Object.assign(window.plumbline || {}, {
    setUpRewrites: setUp,
    untouchedRewrite: (question) => boxes().some((box) => question.contains(box) && isUntouched(box)),
  });
})();
