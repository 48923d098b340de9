// Short messages that float and leave: plumbline.toast("Saved"), or the server's HX-Trigger "toast".
// With {undo: function}, the toast stays ten seconds and Undo can be pressed or reached by key.
(function () {
  "use strict";
  const STAY = 5000;
  const STAY_UNDO = 10000;
  const words = () => document.getElementById("toasts").dataset; // in the page's language

  function announce(text) {
    const region = document.getElementById("live-region");
    if (!region) return;
    region.textContent = "";
    setTimeout(() => (region.textContent = text), 50);
  }

  function toast(text, options) {
    const box = document.getElementById("toasts");
    if (!box || !text) return null;
    const { kind, undo, undoLabel = box.dataset.undo } = options || {};
    const item = document.createElement("div");
    item.className = kind === "error" ? "toast toast-error" : "toast";
    const words = document.createElement("span");
    words.textContent = text;
    item.append(words);

    let timer;
    const remove = () => {
      clearTimeout(timer);
      item.remove();
    };
    const start = () => (timer = setTimeout(remove, undo ? STAY_UNDO : STAY));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = undo ? undoLabel : box.dataset.close;
    if (undo) button.dataset.toastUndo = "";
    button.addEventListener("click", () => {
      remove();
      if (undo) undo();
    });
    item.append(button);
    item.addEventListener("focusin", () => clearTimeout(timer));
    item.addEventListener("focusout", start);
    item.addEventListener("mouseenter", () => clearTimeout(timer));
    item.addEventListener("mouseleave", () => {
      clearTimeout(timer);
      start();
    });
    box.append(item);
    while (box.children.length > 3) box.firstElementChild.remove();
    announce(text);
    start();
    return { remove };
  }

  document.addEventListener("toast", function (event) {
    const detail = event.detail || {};
    toast(detail.text || detail.value, { kind: detail.kind });
  });

  document.addEventListener("htmx:responseError", function (event) {
    const status = event.detail.xhr.status;
    if (status === 400 || status === 422) return;
    const { tooMany, refused, failed } = words();
    toast(
      status === 429 ? tooMany : status === 403 ? refused : failed.replace("{status}", status),
      { kind: "error" },
    );
  });

  document.addEventListener("htmx:sendError", () => {
    toast(words().offline, { kind: "error" });
  });

  window.plumbline = Object.assign(window.plumbline || {}, { toast, announce });
})();
