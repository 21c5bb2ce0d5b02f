// Masks as pictures that lie over a photo: unpacked class numbers, painted in the classes' colors, whole or filtered.
window.maskLayers = (data) => {
  const WRONG = [230, 30, 60], INVENTED = [255, 170, 0], IGNORED = [150, 150, 150], UNSURE = [255, 90, 0];
  const MOST_REGIONS = 12;
  const colors = data.colors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));

  // Class numbers of a mask: zlib of rows, each XOR the one above.
  const unpacked = new Map();
  const unpack = (text, width) => {
    if (!unpacked.has(text)) {
      unpacked.set(text, (async () => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
        const numbers = new Uint8Array(await new Response(stream).arrayBuffer());
        for (let at = width; at < numbers.length; at++) numbers[at] ^= numbers[at - width];
        return numbers;
      })());
    }
    return unpacked.get(text);
  };

  const picture = (width, height, colorAt) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
    for (let at = 0; at < width * height; at++) {
      const color = colorAt(at);
      if (!color) continue;
      pixels.data.set(color, 4 * at);
      pixels.data[4 * at + 3] = color[3] ?? 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  };

  // `only`: the class to show, and what it is predicted as; null for all.
  const paint = (kind, width, height, truth, predicted, only) => {
    const pair = only.truth !== null && only.predicted !== null;
    const inPair = (at) => truth[at] === only.truth && predicted[at] === only.predicted;
    if (kind === "difference") {
      return picture(width, height, (at) => {
        if (pair) return inPair(at) ? WRONG : null;
        if (truth[at] >= data.counted) return only.truth === null ? IGNORED : null;
        if (truth[at] === predicted[at]) return null;
        if (only.truth === null || truth[at] === only.truth) return WRONG;
        return predicted[at] === only.truth ? INVENTED : null;
      });
    }
    const shown = kind === "truth" ? truth : predicted;
    return picture(width, height, (at) => {
      if (pair ? !inPair(at) : only.truth !== null && shown[at] !== only.truth) return null;
      return colors[shown[at]];
    });
  };

  const uncertainty = (width, height, steps) => picture(width, height, (at) => (steps[at] ? [...UNSURE, Math.round(255 * steps[at] / (data.steps - 1))] : null));

  // Boxes [left, top, right, bottom] around the largest connected regions of one class predicted as another.
  const regions = (width, height, truth, predicted, only) => {
    const left = new Uint8Array(width * height), boxes = [];
    for (let at = 0; at < left.length; at++) left[at] = truth[at] === only.truth && predicted[at] === only.predicted ? 1 : 0;
    for (let start = 0; start < left.length; start++) {
      if (!left[start]) continue;
      const box = { left: width, top: height, right: 0, bottom: 0, size: 0 }, open = [start];
      left[start] = 0;
      while (open.length) {
        const at = open.pop(), x = at % width, y = (at - x) / width;
        box.left = Math.min(box.left, x);
        box.right = Math.max(box.right, x + 1);
        box.top = Math.min(box.top, y);
        box.bottom = Math.max(box.bottom, y + 1);
        box.size++;
        for (const [next, inside] of [[at - 1, x > 0], [at + 1, x < width - 1], [at - width, y > 0], [at + width, y < height - 1]]) {
          if (inside && left[next]) { left[next] = 0; open.push(next); }
        }
      }
      boxes.push(box);
    }
    return boxes.sort((one, other) => other.size - one.size).slice(0, MOST_REGIONS);
  };

  return { unpack, paint, uncertainty, regions };
};
