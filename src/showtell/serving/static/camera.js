// The camera: open, switch, photograph, and the newest frame again and again.

import { Trouble } from "./api.js";
import { drawn, encoded } from "./pictures.js";
import { leaveFilm, showFilm } from "./stage.js";

const FRAME = 480, FRAME_QUALITY = 0.85; // longest side and JPEG quality of a live frame
const RATE_OVER = 2000; // milliseconds over which the rate is counted

const KEYS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "absent", OverconstrainedError: "absent", NotReadableError: "taken", AbortError: "taken" };

export class Camera {
  #stream = null; #video = null; #lost;

  /** `lost` is called where a camera ends by itself, such as one that is unplugged. */
  constructor(lost) { this.#lost = lost; }

  get open() { return this.#stream !== null; }

  /** Open a camera: the one named, or the one that looks away from whoever holds the phone. */
  async start(deviceId) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Trouble("insecure");
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } };
    this.#release();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...which, width: { ideal: 1280 }, height: { ideal: 960 } }, audio: false });
    } catch (error) {
      leaveFilm();
      throw new Trouble(KEYS[error.name] ?? "broken", KEYS[error.name] ? "" : String(error));
    }
    this.#stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", this.#lost);
    this.#video = await showFilm(stream, this.#settings().facingMode !== "environment");
  }

  stop() {
    this.#release();
    leaveFilm();
  }

  /** Say whether there is another camera to switch to. */
  async hasOthers() {
    return (await this.#all()).length > 1;
  }

  /** Open the next camera. */
  async turn() {
    const all = await this.#all(), current = this.#settings().deviceId;
    const next = all[(all.findIndex((camera) => camera.deviceId === current) + 1) % all.length];
    await this.start(next?.deviceId);
  }

  /** Return what the camera sees now, as a JPEG. */
  photograph() {
    return encoded(drawn(this.#video, this.#video.videoWidth, this.#video.videoHeight, Infinity));
  }

  /**
   * Ask about the newest frame, one at a time, as long as `goesOn()` says so.
   *
   * The next frame is taken when the answer to the last one is there: nothing queues, and a hidden page, which
   * gets no frames, asks nothing. `ask(blob)` answers; `rate` is how many frames a second were answered lately.
   */
  async watch(ask, goesOn) {
    let times = [];
    while (goesOn()) {
      await this.#frame();
      if (!goesOn()) return;
      const canvas = drawn(this.#video, this.#video.videoWidth, this.#video.videoHeight, FRAME);
      const now = performance.now();
      times = times.filter((time) => now - time < RATE_OVER).concat(now);
      const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
      await ask(await encoded(canvas, FRAME_QUALITY), rate);
    }
  }

  #frame() {
    return new Promise((resolve) => {
      if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
  }

  async #all() {
    return (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  }

  #settings() { return this.#stream?.getVideoTracks()[0]?.getSettings() ?? {}; }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
  }
}
