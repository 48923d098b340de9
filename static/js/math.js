// Typesets .math elements with KaTeX, fetched only when a page has some. Text stays readable without it.
(function () {
  "use strict";
  const own = document.currentScript;
  const SELECTOR = ".math:not(.math-done)";
  const LONGEST = 5000;
  // Commands that would link, fetch or style: never typeset, so that their source stays in sight.
  const REFUSED = /\\(?:href|url|includegraphics|html(?:Class|Id|Style|Data))\b/;
  let loading = null;

  function load() {
    loading = loading || new Promise((resolve, reject) => {
      const style = document.createElement("link");
      style.rel = "stylesheet";
      style.href = own.dataset.katexCss;
      document.head.append(style);
      const script = document.createElement("script");
      script.src = own.dataset.katexJs;
      script.nonce = own.nonce;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
    return loading;
  }

  function typeset(element) {
    const source = element.textContent;
    if (source.length > LONGEST || REFUSED.test(source)) {
      element.classList.add("math-raw");
      return;
    }
    element.classList.add("math-done");
    element.dataset.text = source; // what offsets into the text count, see span_text.js
    try {
      const made = document.createElement("span");
      window.katex.render(source, made, {
        displayMode: element.classList.contains("block"),
        throwOnError: true,
        trust: false,
        strict: "ignore",
        maxExpand: 200,
        maxSize: 20,
      });
      element.replaceChildren(...made.childNodes);
    } catch {
      // What cannot be typeset is shown as it was written, which is what the judge must see.
      element.classList.remove("math-done");
      element.classList.add("math-raw");
      delete element.dataset.text;
    }
  }

  function run() {
    const waiting = () => Array.from(document.querySelectorAll(SELECTOR + ":not(.math-raw)"));
    if (!waiting().length) return;
    load().then(() => {
      waiting().forEach(typeset);
      document.dispatchEvent(new CustomEvent("plumbline:math"));
    }, () => {});
  }

  document.addEventListener("DOMContentLoaded", run);
  document.addEventListener("htmx:afterSettle", run);
  if (document.readyState !== "loading") run();
  window.plumbline = Object.assign(window.plumbline || {}, { typesetMath: run });
})();
