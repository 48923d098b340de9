// Marks of parts of responses: they live as JSON in the question's hidden field; here they are drawn over the text
// and listed below it, where each can be deleted and its note changed.
(function () {
  "use strict";
  const text = window.plumbline.spanText;
  const say = (key, values) => window.plumbline.say(key, values);
  const STYLES = 4; // underline styles, so that labels differ by more than colour
  let pending = null; // {place, start, end} in UTF-16 units: drawn while it waits for a label

  const form = () => document.getElementById("answer");
  const tools = () => Array.from(document.querySelectorAll("#answer .span-tool"));
  const openTools = () => tools().filter((tool) => !tool.querySelector("input").matches(":disabled"));
  const fieldOf = (tool) => tool.querySelector("input[type=hidden]");
  const box = () => document.getElementById("span-box");
  const pane = (place) => document.querySelector(`#desk [data-pane="${place}"]`);
  const proseOf = (place) => pane(place).querySelector(".prose");
  const letter = (place) => "ABCDEFGH"[place];

  function marksOf(tool) {
    try {
      const found = JSON.parse(fieldOf(tool).value || "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  }

  function store(tool, marks) {
    const field = fieldOf(tool);
    field.value = marks.length ? JSON.stringify(marks) : "";
    field.dispatchEvent(new Event("change", { bubbles: true }));
    draw();
  }

  const labelButtons = (name) => Array.from(box().querySelectorAll("[data-span-label]"))
    .filter((button) => !name || button.dataset.spanName === name);
  const labelWords = (name, label) => {
    const found = labelButtons(name).find((button) => button.dataset.spanLabel === label);
    return found ? found.querySelector("span").textContent : label;
  };
  const styleOf = (name, label) => labelButtons().findIndex((button) =>
    button.dataset.spanName === name && button.dataset.spanLabel === label) % STYLES;

  function make(tag, words, name) {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    if (name) element.className = name;
    return element;
  }

  // --- Drawing ---------------------------------------------------------------------------------------------

  function draw() {
    const ranges = Array.from({ length: STYLES }, () => []);
    const rows = new Map();
    tools().forEach((tool) => {
      const marks = marksOf(tool);
      const count = tool.querySelector(".span-count");
      count.textContent = marks.length ? say(marks.length === 1 ? "one_part" : "parts", { n: marks.length }) : "";
      if (tool.querySelector("input").closest("fieldset[hidden]")) return;
      marks.forEach((mark, index) => {
        if (!pane(mark.place)) return;
        const prose = proseOf(mark.place);
        const whole = text.textOf(prose);
        const range = text.rangeOf(prose, text.toUnits(whole, mark.start), text.toUnits(whole, mark.end));
        if (range) ranges[Math.max(0, styleOf(tool.dataset.span, mark.label))].push(range);
        if (!rows.has(mark.place)) rows.set(mark.place, []);
        rows.get(mark.place).push({ tool, mark, index });
      });
    });
    if (window.CSS && CSS.highlights) {
      ranges.forEach((each, style) => CSS.highlights.set(`mark-${style}`, new Highlight(...each)));
      const wait = pending && text.rangeOf(proseOf(pending.place), pending.start, pending.end);
      CSS.highlights.set("mark-pending", wait ? new Highlight(wait) : new Highlight());
    }
    document.querySelectorAll("#desk [data-pane]").forEach((each) => list(each, rows.get(Number(each.dataset.pane)) || []));
  }

  function list(section, rows) {
    let holder = section.querySelector(".marks");
    if (!rows.length) {
      if (holder) holder.remove();
      return;
    }
    const focused = document.activeElement && holder && holder.contains(document.activeElement)
      ? document.activeElement.dataset.mark : null;
    const fresh = make("ol", undefined, "marks");
    fresh.setAttribute("aria-label", say(document.querySelectorAll("#desk [data-pane]").length > 1 ? "marked_parts" : "marked_parts_alone", { letter: letter(Number(section.dataset.pane)) }));
    rows.sort((one, other) => one.mark.start - other.mark.start || one.mark.end - other.mark.end);
    rows.forEach(({ tool, mark, index }) => {
      const row = make("li", undefined, "mark-row");
      const style = Math.max(0, styleOf(tool.dataset.span, mark.label));
      row.append(make("span", labelWords(tool.dataset.span, mark.label), `mark-label mark-style-${style}`));
      const quote = make("q", mark.quote.length > 160 ? `${mark.quote.slice(0, 159)}…` : mark.quote, "mark-quote");
      quote.dir = "auto";
      row.append(quote);
      const locked = form().querySelector(".locked");
      if (tool.dataset.note !== undefined && !locked) {
        const note = make("input", undefined, "input mark-note");
        note.value = mark.note || "";
        note.maxLength = 2000;
        note.dir = "auto";
        note.placeholder = say("note");
        note.setAttribute("aria-label", say("note_on", { quote: quote.textContent }));
        note.dataset.mark = `${tool.dataset.span} ${index} note`;
        note.addEventListener("change", () => {
          const marks = marksOf(tool);
          marks[index] = { ...marks[index], note: note.value };
          store(tool, marks);
        });
        row.append(note);
      } else if (mark.note) row.append(make("span", mark.note, "muted"));
      if (!locked) {
        const remove = make("button", say("delete"), "btn btn-small btn-quiet");
        remove.type = "button";
        remove.dataset.mark = `${tool.dataset.span} ${index} delete`;
        remove.setAttribute("aria-label", say("delete_mark", { quote: quote.textContent }));
        remove.addEventListener("click", () => {
          const marks = marksOf(tool);
          marks.splice(index, 1);
          store(tool, marks);
          section.focus();
          window.plumbline.announce(say("mark_deleted"));
        });
        row.append(remove);
      }
      fresh.append(row);
    });
    if (holder) holder.replaceWith(fresh);
    else section.append(fresh);
    if (focused) {
      const again = fresh.querySelector(`[data-mark="${CSS.escape(focused)}"]`);
      if (again) again.focus();
    }
  }

  window.plumbline = Object.assign(window.plumbline || {}, {
    spanMarks: {
      tools, openTools, marksOf, store, draw, labelButtons, labelWords, make, box, form, pane, proseOf,
      waitFor: (part) => (pending = part),
    },
  });
})();
