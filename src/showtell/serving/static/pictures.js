// A picture that somebody gave, made ready: upright to look at, no larger than needed to send.

import { Trouble } from "./api.js";

const LONGEST = 1600; // pixels; larger pictures are scaled down before they are sent
const QUALITY = 0.92;
const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"];
const UNDER_HEAT = 0.5, DIMMEST = 0.74, BRIGHTEST = 0.92; // the twin of overlay.dimming

/** Draw a picture or a video frame on white, with its longest side at most `longest` pixels. */
export const drawn = (source, width, height, longest) => {
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
};

export const encoded = (canvas, quality = QUALITY) =>
  new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Trouble("unreadable"))), "image/jpeg", quality);
  });

/** The brightness to show a picture with under heat; light ones are dimmed most. */
const dimming = (source, width, height) => {
  const pixels = drawn(source, width, height, 16).getContext("2d").getImageData(0, 0, 16, 16).data;
  let sum = 0;
  let seen = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    if (!pixels[i + 3]) continue; // outside of a picture that is not square
    sum += 0.299 * pixels[i] + 0.587 * pixels[i + 1] + 0.114 * pixels[i + 2];
    seen += 1;
  }
  return Math.min(BRIGHTEST, Math.max(DIMMEST, UNDER_HEAT / Math.max(sum / seen / 255, 0.01)));
};

/**
 * Make a file ready.
 *
 * Returns what is sent (`blob`), what is shown (`url`, null where this browser cannot decode it; the server
 * may), its upright `width` and `height`, and `dim`, its brightness under heat.
 */
export const prepare = async (file) => {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return { blob: file, url: null, width: 4, height: 3, dim: BRIGHTEST };
  }
  const { width, height } = bitmap;
  const small = Math.max(width, height) <= LONGEST && SENT_AS_THEY_ARE.includes(file.type);
  const blob = small ? file : await encoded(drawn(bitmap, width, height, LONGEST));
  const dim = dimming(bitmap, width, height);
  bitmap.close();
  return { blob, url: URL.createObjectURL(blob), width, height, dim };
};

/** Return the first picture of a drop or a paste; null where there is none. */
export const pictureIn = (transfer) => {
  const files = [...(transfer?.files ?? [])];
  // Some systems name no type for formats that they do not know.
  return files.find((file) => file.type.startsWith("image/")) ?? files.find((file) => !file.type) ?? null;
};
