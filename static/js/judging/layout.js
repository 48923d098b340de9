// How the responses stand and scroll: side by side or stacked, each by itself or together; remembered here.
// Also the cover over sensitive texts: lifted for this item, or for the rest of the sitting.
(function () {
  "use strict";
  const say = (key, values) => window.plumbline.say(key, values);
  const LAYOUT = "plumbline.layout";
  const SCROLL = "plumbline.scroll";
  const desk = () => document.getElementById("desk");

  function read(storage, key) {
    try {
      return storage.getItem(key);
    } catch {
      return null;
    }
  }

  function write(storage, key, value) {
    try {
      storage.setItem(key, value);
    } catch {
      // Without storage the choice lasts until the next page.
    }
  }

  let layout = ["columns", "stacked"].find((each) => each === read(localStorage, LAYOUT)) || null;
  let scroll = read(localStorage, SCROLL) === "together" ? "together" : "each";

  function show() {
    document.body.dataset.scroll = scroll;
    document.querySelectorAll("[data-scroll-mode]").forEach((button) => {
      button.hidden = false;
      button.textContent = say(`scroll_${scroll}`);
    });
    const region = desk();
    const several = region && Number(region.dataset.n) > 1;
    if (several && layout) region.dataset.layout = layout;
    document.querySelectorAll("[data-layout-toggle]").forEach((button) => {
      button.hidden = !several;
      if (several) button.textContent = say(`layout_${region.dataset.layout}`);
    });
  }

  function toggleLayout() {
    const region = desk();
    if (!region || !(Number(region.dataset.n) > 1)) return false;
    layout = region.dataset.layout === "stacked" ? "columns" : "stacked";
    write(localStorage, LAYOUT, layout);
    show();
    window.plumbline.announce(say(`layout_${layout}`));
    return true;
  }

  function cover() {
    const region = desk();
    const box = region && region.querySelector(".cover-box");
    if (!box) return;
    if (read(sessionStorage, box.dataset.sitting)) box.checked = true;
    const covered = !box.checked;
    region.querySelectorAll("#prompt-body, .panes, .questions, .submit").forEach((each) => {
      each.inert = covered;
    });
    region.querySelector(".cover-sitting").hidden = !covered;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-layout-toggle]")) toggleLayout();
    if (event.target.closest("[data-scroll-mode]")) {
      scroll = scroll === "together" ? "each" : "together";
      write(localStorage, SCROLL, scroll);
      show();
    }
    const sitting = event.target.closest(".cover-sitting");
    if (sitting) {
      const box = desk().querySelector(".cover-box");
      write(sessionStorage, box.dataset.sitting, "1");
      box.checked = true;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches(".cover-box")) return;
    cover();
    if (event.target.checked) document.getElementById("desk-title").focus();
  });

  function setUp() {
    show();
    cover();
  }

  document.addEventListener("DOMContentLoaded", () => window.plumbline.onKey("layout", toggleLayout));

  window.plumbline = Object.assign(window.plumbline || {}, { setUpLayout: setUp, toggleLayout });
})();
