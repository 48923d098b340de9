// The text of a response as offsets see it: code points of its text, formulas and images by their source.
// The same text as rendering.plain_text gives on the server.
(function () {
  "use strict";

  // [{node, start, text, atom}] in reading order; `start` in UTF-16 units.
  function parts(root) {
    const found = [];
    let at = 0;
    const add = (node, text, atom) => {
      if (text) found.push({ node, start: at, text, atom });
      at += text.length;
    };
    const walk = (node) => {
      for (const child of node.childNodes) {
        if (child.nodeType === Node.TEXT_NODE) add(child, child.data, false);
        else if (child.nodeType !== Node.ELEMENT_NODE) continue;
        else if (child.dataset.text !== undefined) add(child, child.dataset.text, true);
        else walk(child);
      }
    };
    walk(root);
    return found;
  }

  const textOf = (root) => parts(root).map((part) => part.text).join("");
  const toPoints = (text, unit) => Array.from(text.slice(0, unit)).length;
  function toUnits(text, point) {
    let units = 0;
    let left = point;
    for (const character of text) {
      if (left-- <= 0) break;
      units += character.length;
    }
    return units;
  }

  // Where a boundary of a DOM range lies in the text; inside a formula it goes to the formula's near end.
  function offsetOf(root, container, offset, isEnd) {
    const all = parts(root);
    const point = document.createRange();
    point.setStart(container, offset);
    for (const part of all) {
      if (part.node === container) return part.start + Math.min(offset, part.text.length);
      if (part.atom && part.node.contains(container)) return part.start + (isEnd ? part.text.length : 0);
      const place = document.createRange();
      place.selectNode(part.node);
      if (place.compareBoundaryPoints(Range.START_TO_START, point) >= 0) return part.start;
    }
    return all.length ? all[all.length - 1].start + all[all.length - 1].text.length : 0;
  }

  // A DOM range over [start, end) in UTF-16 units.
  function rangeOf(root, start, end) {
    const range = document.createRange();
    const all = parts(root);
    let begun = false;
    for (const part of all) {
      const after = part.start + part.text.length;
      if (!begun && start < after) {
        if (part.atom) range.setStartBefore(part.node);
        else range.setStart(part.node, Math.max(0, start - part.start));
        begun = true;
      }
      if (begun && end <= after) {
        if (part.atom) range.setEndAfter(part.node);
        else range.setEnd(part.node, Math.max(0, end - part.start));
        return range;
      }
    }
    return begun ? range : null;
  }

  // The part of the selection that lies within the text, without blanks at its ends: [start, end] or null.
  function selected(root, selection) {
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    if (!range.intersectsNode(root)) return null;
    const text = textOf(root);
    let start = root.contains(range.startContainer) ? offsetOf(root, range.startContainer, range.startOffset, false) : 0;
    let end = root.contains(range.endContainer) ? offsetOf(root, range.endContainer, range.endOffset, true) : text.length;
    while (start < end && /\s/.test(text[start])) start += 1;
    while (end > start && /\s/.test(text[end - 1])) end -= 1;
    return start < end ? [start, end] : null;
  }

  const cutters = {};
  // The pieces of the text around a place, words or sentences, as [start, end) without blanks at the ends.
  function pieces(text, granularity, around) {
    const reach = 3000;
    const from = Math.max(0, around - reach);
    const slice = text.slice(from, around + reach);
    if (!window.Intl || !Intl.Segmenter) {
      const pattern = granularity === "word" ? /\S+/g : /[^.!?\n]+[.!?]*/g;
      return Array.from(slice.matchAll(pattern), (match) => [from + match.index, from + match.index + match[0].length]);
    }
    cutters[granularity] = cutters[granularity] || new Intl.Segmenter(undefined, { granularity });
    const found = [];
    for (const piece of cutters[granularity].segment(slice)) {
      if (granularity === "word" && !piece.isWordLike) continue;
      const start = piece.index + piece.segment.length - piece.segment.trimStart().length;
      const end = piece.index + piece.segment.trimEnd().length;
      if (start < end) found.push([from + start, from + end]);
    }
    return found;
  }

  window.plumbline = Object.assign(window.plumbline || {}, {
    spanText: { textOf, toPoints, toUnits, rangeOf, selected, pieces },
  });
})();
