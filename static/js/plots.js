// Saves a plot as PNG: the server's SVG drawn on a canvas. Without this script the SVG link stands alone.
(() => {
  const SCALE = 2;

  const save = async (link) => {
    const image = new Image();
    image.src = link.href;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth * SCALE;
    canvas.height = image.naturalHeight * SCALE;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const target = document.createElement("a");
    target.href = URL.createObjectURL(blob);
    target.download = link.dataset.png;
    target.click();
    setTimeout(() => URL.revokeObjectURL(target.href), 10_000);
  };

  for (const link of document.querySelectorAll("a[data-png]")) {
    link.hidden = false;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      save(link).catch(() => window.plumbline.toast("The image could not be made. Take the SVG instead.", { kind: "error" }));
    });
  }
})();
