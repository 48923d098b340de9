// Choosing a part of a response and its label: by mouse or finger (select, then "Mark"), or by keys (the mark key,
// arrows, Enter). What is chosen becomes a mark of span_marks.js.
(function () {
  "use strict";
  const text = window.plumbline.spanText;
  const say = (key, values) => window.plumbline.say(key, values);
  const { tools, openTools, marksOf, store, draw, labelButtons, labelWords, make, box, form, pane, proseOf, waitFor } =
    window.plumbline.spanMarks;
  let pending = null; // {place, start, end} in UTF-16 units, waiting for a label
  let caret = null; // {place, anchor, from, to}: marking by keys

  // --- Choosing the label ----------------------------------------------------------------------------------

  function ask(place, start, end) {
    pending = { place, start, end };
    waitFor(pending);
    hideFloat();
    draw();
    const holder = box();
    holder.querySelector(".span-choose").hidden = false;
    holder.querySelector(".span-note").hidden = true;
    const quote = text.textOf(proseOf(place)).slice(start, end);
    holder.querySelector(".span-quote").textContent = quote.length > 200 ? `${quote.slice(0, 199)}…` : quote;
    const asked = openTools().map((tool) => tool.dataset.span);
    labelButtons().forEach((button) => {
      button.disabled = !asked.includes(button.dataset.spanName);
    });
    holder.showPopover();
    (labelButtons().find((button) => !button.disabled) || holder.querySelector("button")).focus();
  }

  function label(button) {
    const { place, start, end } = pending;
    const tool = tools().find((each) => each.dataset.span === button.dataset.spanName);
    const whole = text.textOf(proseOf(place));
    const marks = marksOf(tool);
    const mark = {
      place, start: text.toPoints(whole, start), end: text.toPoints(whole, end),
      quote: whole.slice(start, end), label: button.dataset.spanLabel, note: "",
    };
    const same = (other) => other.place === place && other.start === mark.start && other.end === mark.end
      && other.label === mark.label;
    if (!marks.some(same)) marks.push(mark);
    const at = marks.findIndex(same);
    document.getSelection().removeAllRanges();
    store(tool, marks);
    window.plumbline.announce(say("marked", { label: labelWords(tool.dataset.span, mark.label), quote: mark.quote.slice(0, 200) }));
    if (tool.dataset.note === undefined) {
      box().hidePopover();
      return;
    }
    const holder = box();
    holder.querySelector(".span-choose").hidden = true;
    holder.querySelector(".span-note").hidden = false;
    const note = holder.querySelector(".span-note input");
    note.value = marks[at].note || "";
    holder.noting = { tool, at };
    note.focus();
  }

  function finish() {
    const holder = box();
    if (!holder) return;
    if (holder.noting) {
      const { tool, at } = holder.noting;
      const marks = marksOf(tool);
      const note = holder.querySelector(".span-note input").value.trim();
      holder.noting = null;
      if (marks[at] && (marks[at].note || "") !== note) {
        marks[at] = { ...marks[at], note };
        store(tool, marks);
      }
    }
    if (!pending) return;
    const { place } = pending;
    pending = null;
    waitFor(null);
    if (caret) {
      caret.from = caret.to;
      caret.anchor = caret.to;
      select();
    }
    draw();
    if (pane(place)) pane(place).focus({ preventScroll: true });
  }

  // --- Mouse and finger ------------------------------------------------------------------------------------

  let float = null;
  function hideFloat() {
    if (float) float.remove();
    float = null;
  }

  function chosen() {
    const selection = document.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const start = selection.getRangeAt(0).startContainer;
    const section = (start.nodeType === Node.ELEMENT_NODE ? start : start.parentElement || document.body)
      .closest("#desk [data-pane]");
    if (!section) return null;
    const found = text.selected(section.querySelector(".prose"), selection);
    return found && { place: Number(section.dataset.pane), start: found[0], end: found[1] };
  }

  function offer() {
    if (caret || !openTools().length || box().matches(":popover-open")) return;
    const found = chosen();
    hideFloat();
    if (!found) return;
    const range = text.rangeOf(proseOf(found.place), found.start, found.end);
    const boxes = range.getClientRects();
    const last = boxes.length ? boxes[boxes.length - 1] : range.getBoundingClientRect();
    float = make("button", say("mark"), "btn btn-primary btn-small span-float");
    float.type = "button";
    document.getElementById("desk").append(float);
    float.style.left = `${Math.max(8, Math.min(last.right - 16, window.innerWidth - float.offsetWidth - 8))}px`;
    float.style.top = `${Math.max(8, Math.min(last.bottom + 6, window.innerHeight - float.offsetHeight - 8))}px`;
    float.addEventListener("pointerdown", (event) => event.preventDefault());
    float.addEventListener("click", () => {
      const now = chosen() || found;
      ask(now.place, now.start, now.end);
    });
  }

  let waiting = null;
  document.addEventListener("selectionchange", () => {
    if (!form() || !tools().length) return;
    clearTimeout(waiting);
    if (document.getSelection().isCollapsed) hideFloat();
    else waiting = setTimeout(offer, 250);
  });

  // --- Keys ------------------------------------------------------------------------------------------------

  function select() {
    const prose = proseOf(caret.place);
    const start = Math.min(caret.anchor[0], caret.to[0]);
    const end = Math.max(caret.anchor[1], caret.to[1]);
    const range = text.rangeOf(prose, start, end);
    if (!range) return;
    const selection = document.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const at = text.rangeOf(prose, caret.to[0], caret.to[1]).getBoundingClientRect();
    let scroller = pane(caret.place);
    while (scroller && (scroller.scrollHeight <= scroller.clientHeight || getComputedStyle(scroller).overflowY === "visible")) {
      scroller = scroller.parentElement;
    }
    if (!scroller) return;
    const view = scroller === document.documentElement
      ? { top: 0, bottom: window.innerHeight } : scroller.getBoundingClientRect();
    if (at.top < view.top + 48) scroller.scrollTop += at.top - view.top - 48;
    else if (at.bottom > view.bottom - 40) scroller.scrollTop += at.bottom - view.bottom + 40;
  }

  function step(granularity, direction, extend) {
    const whole = text.textOf(proseOf(caret.place));
    const around = text.pieces(whole, granularity, caret.to[0]);
    let next = direction > 0 ? around.find((piece) => piece[0] >= caret.to[1])
      : around.filter((piece) => piece[0] < caret.to[0]).pop();
    if (!next) return;
    if (granularity === "sentence" && direction > 0 && extend) {
      const here = around.find((piece) => piece[0] <= caret.to[0] && piece[1] > caret.to[1]);
      if (here) next = here; // first to the end of this sentence
    }
    move(granularity === "word" || extend ? next : firstWord(whole, next), extend);
  }

  function firstWord(whole, piece) {
    return text.pieces(whole, "word", piece[0]).find((word) => word[0] >= piece[0] && word[1] <= piece[1]) || piece;
  }

  function move(next, extend) {
    if (extend && next[0] < caret.anchor[0]) caret.to = [next[0], next[0] + 1];
    else if (extend) caret.to = [Math.max(next[0], next[1] - 1), next[1]];
    else caret.anchor = caret.to = next;
    select();
    const whole = text.textOf(proseOf(caret.place));
    const start = Math.min(caret.anchor[0], caret.to[0]);
    const end = Math.max(caret.anchor[1], caret.to[1]);
    window.plumbline.announce(whole.slice(start, end).slice(-300));
  }

  function enter(place) {
    const prose = proseOf(place);
    const whole = text.textOf(prose);
    const view = pane(place).getBoundingClientRect();
    const words = text.pieces(whole, "word", 0);
    if (!words.length) return false;
    document.dispatchEvent(new CustomEvent("plumbline:pane", { detail: place }));
    pane(place).focus({ preventScroll: true });
    let first = words[0];
    if (pane(place).scrollTop > 8) {
      // Begin at the first word in sight rather than at the top of a long text.
      const range = document.caretRangeFromPoint
        ? document.caretRangeFromPoint(view.left + 40, Math.max(view.top, 0) + 60) : null;
      if (range && prose.contains(range.startContainer)) {
        const probe = document.createRange();
        probe.selectNodeContents(prose);
        probe.setEnd(range.startContainer, range.startOffset);
        const at = probe.toString().length;
        first = text.pieces(whole, "word", at).find((word) => word[0] >= at) || first;
      }
    }
    caret = { place, anchor: first, to: first };
    hint(true);
    select();
    window.plumbline.announce(`${say("marking_help")} ${whole.slice(first[0], first[1])}`);
    return true;
  }

  function hint(on) {
    document.querySelectorAll(".span-mode").forEach((each) => each.remove());
    document.querySelectorAll(".is-marking").forEach((each) => each.classList.remove("is-marking"));
    if (!on) return;
    const section = pane(caret.place);
    section.classList.add("is-marking");
    section.append(make("p", say("marking_help"), "span-mode"));
  }

  function leave() {
    if (!caret) return;
    caret = null;
    hint(false);
    document.getSelection().removeAllRanges();
  }

  // The mark key: a selection gets its label; else the arrows start to choose one.
  function markSpan() {
    if (!form() || !openTools().length || form().inert) return false;
    if (caret) {
      confirmCaret();
      return true;
    }
    const found = chosen();
    if (found) {
      ask(found.place, found.start, found.end);
      return true;
    }
    const here = document.activeElement && document.activeElement.closest("#desk [data-pane]");
    const shown = Array.from(document.querySelectorAll("#desk [data-pane]")).find((each) => each.offsetParent);
    const section = here || shown;
    return section ? enter(Number(section.dataset.pane)) : false;
  }

  function confirmCaret() {
    const start = Math.min(caret.anchor[0], caret.to[0]);
    const end = Math.max(caret.anchor[1], caret.to[1]);
    ask(caret.place, start, end);
  }

  document.addEventListener("keydown", (event) => {
    const holder = box();
    if (holder && holder.matches(":popover-open")) {
      if (event.key === "Enter" && event.target.closest(".span-note")) {
        event.preventDefault();
        event.stopImmediatePropagation();
        holder.hidePopover();
      }
      return;
    }
    if (!caret) return;
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest("[data-pane]")) return;
    const digit = /^[1-9]$/.test(event.key) && labelButtons().filter((button) =>
      openTools().some((tool) => tool.dataset.span === button.dataset.spanName))[Number(event.key) - 1];
    const acts = {
      ArrowRight: () => step("word", 1, event.shiftKey), ArrowLeft: () => step("word", -1, event.shiftKey),
      ArrowDown: () => step("sentence", 1, event.shiftKey), ArrowUp: () => step("sentence", -1, event.shiftKey),
      Enter: confirmCaret, Escape: leave,
    };
    if (digit) {
      confirmCaret();
      label(digit);
    } else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  document.addEventListener("focusin", (event) => {
    if (caret && !pending && !event.target.closest(`[data-pane="${caret.place}"], #span-box`)) leave();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest(".span-start")) markSpan();
    const button = event.target.closest("[data-span-label]");
    if (button && pending) label(button);
    if (event.target.closest(".span-cancel, .span-done")) box().hidePopover();
  });
  document.addEventListener("beforetoggle", (event) => {
    if (event.target.id === "span-box" && event.newState === "closed") finish();
  }, true);
  document.addEventListener("plumbline:asked", () => tools().length && draw());
  document.addEventListener("plumbline:math", () => tools().length && draw());

  function setUp() {
    pending = null;
    waitFor(null);
    caret = null;
    hideFloat();
    if (window.CSS && CSS.highlights) CSS.highlights.clear();
    if (!tools().length) return;
    tools().forEach((tool) => {
      tool.querySelector(".span-start").hidden = false;
    });
    draw();
  }

  document.addEventListener("DOMContentLoaded", () => window.plumbline.onKey("mark", markSpan));

  window.plumbline = Object.assign(window.plumbline || {}, { setUpSpans: setUp, markSpan });
})();
