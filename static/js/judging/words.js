// What the scripts of this page say, in the person's language: the server wrote it into #words.
(function () {
  "use strict";
  let words = null;

  // say("placed", { letter: "A" }) puts the values where {letter} stands.
  function say(key, values) {
    if (!words) {
      const block = document.getElementById("words");
      words = block ? JSON.parse(block.textContent) : {};
    }
    return (words[key] || key).replace(/\{(\w+)\}/g, (whole, name) =>
      values && name in values ? String(values[name]) : whole);
  }

  window.plumbline = Object.assign(window.plumbline || {}, { say });
})();
