// Masks over their images: the epoch slider, the opacity slider, image size, and the class under the pointer.
for (const section of document.querySelectorAll("section.masks")) {
  // Each image is embedded once; the other panels show a copy under their masks.
  for (const panels of section.querySelectorAll(".panels")) {
    const photo = panels.querySelector(".photo");
    for (const stack of panels.querySelectorAll(".truth, .prediction, .difference")) {
      const copy = photo.cloneNode();
      copy.alt = "";
      stack.prepend(copy);
    }
  }
  for (const slider of section.querySelectorAll("input.opacity")) {
    const show = () => {
      section.style.setProperty("--opacity", slider.value / 100);
      slider.parentElement.querySelector("b").textContent = slider.value + " %";
    };
    slider.addEventListener("input", show);
    show();
  }
  for (const button of section.querySelectorAll("button.larger")) {
    button.addEventListener("click", () => {
      const large = button.closest(".example").classList.toggle("large");
      button.setAttribute("aria-pressed", String(large));
      button.textContent = large ? "smaller" : "larger";
    });
  }
}

const epochs = document.getElementById("mask-slider");
if (epochs) {
  const numbers = epochs.dataset.epochs.split(" ");
  epochs.addEventListener("input", () => {
    const epoch = numbers[epochs.value];
    document.getElementById("mask-epoch").textContent = "epoch " + epoch + (epoch === epochs.dataset.kept ? " (saved)" : "");
    for (const each of document.querySelectorAll("#chosen [data-epoch]")) each.hidden = each.dataset.epoch !== epoch;
  });
}

// The captions name the class under the pointer.
(() => {
  const place = document.getElementById("mask-names");
  if (!place) return;
  const names = JSON.parse(place.textContent);
  const read = new WeakMap();
  const pixels = (picture) => {
    if (!read.has(picture)) {
      const canvas = document.createElement("canvas");
      canvas.width = picture.naturalWidth;
      canvas.height = picture.naturalHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      read.set(picture, context.getImageData(0, 0, canvas.width, canvas.height));
    }
    return read.get(picture);
  };
  const classAt = (picture, x, y) => {
    const { data, width, height } = pixels(picture);
    const at = 4 * (Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width)));
    return names["#" + [0, 1, 2].map((i) => data[at + i].toString(16).padStart(2, "0")).join("")] ?? "no class";
  };
  for (const panels of document.querySelectorAll(".panels")) {
    const captions = [["ground truth", "truth"], ["prediction", "prediction"]].map(([name, kind]) => [name, panels.querySelector("." + kind)]);
    panels.addEventListener("pointermove", (event) => {
      const stack = event.target.closest(".stack");
      if (!stack) return;
      const box = stack.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
      for (const [name, shown] of captions) {
        const picture = [...shown.querySelectorAll(".over")].find((each) => !each.hidden);
        shown.nextElementSibling.textContent = picture ? name + ": " + classAt(picture, Math.max(0, x), Math.max(0, y)) : name;
      }
    });
    panels.addEventListener("pointerleave", () => {
      for (const [name, shown] of captions) shown.nextElementSibling.textContent = name;
    });
  }
})();
