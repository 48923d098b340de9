// <details class="menu"> closes on Escape, on a click elsewhere, and when focus leaves it.
// On narrow screens the rail and tabs scroll sideways: the current link is brought into view.
(function () {
  "use strict";
  document.querySelectorAll(".rail [aria-current], .tabs [aria-current]").forEach((link) => {
    const row = link.closest("ul, .tabs");
    if (row.scrollWidth <= row.clientWidth) return;
    const [inner, outer] = [link.getBoundingClientRect(), row.getBoundingClientRect()];
    row.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  });

  const open = () => document.querySelectorAll("details.menu[open]");

  document.addEventListener("click", (event) => {
    open().forEach((menu) => menu.contains(event.target) || menu.removeAttribute("open"));
  });

  document.addEventListener("focusin", (event) => {
    open().forEach((menu) => menu.contains(event.target) || menu.removeAttribute("open"));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open().forEach((menu) => {
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
    });
  });
})();
