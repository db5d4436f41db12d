// What all pages of the studio share: forms that answer at the field, parts that stay fresh, logs, copying.

export const POLL_MS = 1000;
/** What all addresses of the studio begin with: "", or the path at which a gateway has it. */
export const root = new URL("..", import.meta.url).pathname.slice(0, -1);

/** Ask the studio. Throws what it answered where that is no success; `errors` by field, "" is the whole. */
export async function ask(address, options = {}) {
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  lost(false);
  if (answer.status === 401) location.reload();
  const json = answer.headers.get("content-type")?.includes("json");
  const body = json ? await answer.json() : await answer.text();
  if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { errors: body.errors ?? { "": lineOf(body) || `The studio answered ${answer.status}.` } });
  return body;
}

/** What a page that tells an error says; "" for any other. */
function lineOf(page) {
  return new DOMParser().parseFromString(page, "text/html").querySelector("main .sentence")?.textContent ?? "";
}

/** Say that the studio does not answer, or that it does again. */
function lost(yes) {
  const banner = document.querySelector(".lost");
  if (banner && banner.hidden === yes) banner.hidden = !yes;
}

/** Call `again` every so often while the page is looked at, and at once when it is looked at again. */
export function repeat(again, every) {
  let timer = 0, busy = false;
  const turn = async () => {
    clearTimeout(timer);
    if (busy || document.hidden) return;
    busy = true;
    let more = true;
    try { more = (await again()) !== false; } catch (error) { if (error instanceof TypeError) lost(true); }
    busy = false;
    if (more) timer = setTimeout(turn, every);
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return turn;
}

/** A form's faults, each at its field; the first gets the focus. */
export function showFaults(form, errors) {
  const left = new Map(Object.entries(errors));
  let first = null;
  for (const place of form.querySelectorAll(".fault[id$='-error']")) {
    const name = place.id.slice(0, -"-error".length);
    const input = form.querySelector(`[name="${CSS.escape(name)}"]`);
    const line = left.get(name) ?? "";
    left.delete(name);
    place.textContent = line;
    place.hidden = !line;
    if (!input) continue;
    input.toggleAttribute("aria-invalid", false);
    if (line) {
      input.setAttribute("aria-invalid", "true");
      for (let box = input.closest("details:not([open])"); box; box = box.parentElement.closest("details:not([open])")) box.open = true;
      first ??= input;
    }
  }
  const all = form.querySelector("[data-fault-of-all]");
  if (all) {
    all.textContent = [...left.values()].join(" ");
    all.hidden = !all.textContent;
  }
  first?.focus();
}

async function send(form, button) {
  const body = new FormData(form, button?.name ? button : undefined);
  button?.setAttribute("aria-busy", "true");
  if (button) button.disabled = true;
  try {
    const answer = await ask(form.getAttribute("data-post"), { method: "POST", body });
    showFaults(form, {});
    form.dispatchEvent(new CustomEvent("taken", { detail: answer, bubbles: true }));
    if (answer.go) location.assign(answer.go);
    if (answer.show) keepFresh(form.querySelector("[data-result]"), answer.show);
  } catch (error) {
    if (error instanceof TypeError) lost(true);
    showFaults(form, error.errors ?? { "": "The studio does not answer." });
  } finally {
    button?.removeAttribute("aria-busy");
    if (button) button.disabled = false;
  }
}

document.addEventListener("submit", event => {
  const form = event.target;
  // A field may be called "dataset" and then hides the form's own.
  if (!form.hasAttribute("data-post")) return;
  event.preventDefault();
  send(form, event.submitter);
});

/** Copy what an element says; false where the browser does not let a page do so, and it is only selected. */
async function copied(place) {
  // Browsers have it for https and for this machine's own addresses alone.
  if (navigator.clipboard) return navigator.clipboard.writeText(place.textContent).then(() => true, () => false);
  getSelection().selectAllChildren(place);
  return document.execCommand("copy");
}

document.addEventListener("click", async event => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    copy.textContent = await copied(copy.parentElement.querySelector("pre")) ? "Copied" : "Selected: copy it by hand";
    return;
  }
  const action = event.target.closest("[data-action]");
  if (!action || (action.dataset.ask && !confirm(action.dataset.ask))) return;
  action.disabled = true;
  try {
    const answer = await ask(action.dataset.action, { method: "POST" });
    if (answer.go) location.assign(answer.go);
    for (const place of document.querySelectorAll("[data-live]")) refresh(place).catch(() => lost(true));
  } catch (error) {
    action.disabled = false;
    const place = action.closest("[data-live], form, section, main")?.querySelector("[data-fault]");
    if (place) { place.textContent = Object.values(error.errors ?? { "": "The studio does not answer." }).join(" "); place.hidden = false; }
  }
});

/** What somebody has typed or chosen in a part of the page, by id: no server has said it. */
function typedIn(place) {
  const typed = new Map();
  for (const one of place.querySelectorAll("input[id]:not([type=checkbox], [type=radio], [type=file], [type=hidden]), textarea[id]")) if (one.value !== one.defaultValue) typed.set(one.id, one.value);
  for (const one of place.querySelectorAll("select[id]")) if (![...one.options].find(option => option.selected === option.defaultSelected && option.selected)) typed.set(one.id, one.value);
  return typed;
}

/** Put a part of the page anew where it changed; the focus stays on what has the same id, what was typed and open details stay. */
export async function refresh(place) {
  const html = await ask(place.dataset.live);
  if (place.dataset.html === html) return;
  place.dataset.html = html;
  const active = place.contains(document.activeElement) ? document.activeElement : null, focused = active?.id ?? "", at = active?.selectionStart;
  const typed = typedIn(place);
  const checked = new Set([...place.querySelectorAll("input[id]:checked")].map(one => one.id));
  const open = new Set([...place.querySelectorAll("details[open][id]")].map(one => one.id));
  place.innerHTML = html;
  for (const one of place.querySelectorAll("[data-play]")) if (one.dataset.play === playing) one.setAttribute("aria-pressed", "true");
  for (const one of place.querySelectorAll("input[id]")) if (checked.has(one.id)) one.checked = true;
  for (const one of place.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = true;
  for (const [id, value] of typed) { const one = document.getElementById(id); if (one && place.contains(one)) one.value = value; }
  if (focused) { const one = document.getElementById(focused); one?.focus(); if (typeof at === "number") one?.setSelectionRange?.(at, at); }
  place.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
}

/** Show a part of the page in a place, and keep it fresh until another one is shown there. */
function keepFresh(place, address) {
  place.dataset.live = address;
  repeat(async () => { if (place.dataset.live !== address) return false; await refresh(place); }, POLL_MS);
}

for (const place of document.querySelectorAll("[data-live]")) {
  const every = Number(place.dataset.every ?? POLL_MS);  // 0: once
  repeat(async () => { await refresh(place); return every > 0; }, every);
}

// One sound at a time: a button with `data-play` plays a file, and stops it.
const sound = new Audio();
let playing = null;
const showPlaying = button => {
  document.querySelectorAll("[data-play][aria-pressed=true]").forEach(one => one.setAttribute("aria-pressed", "false"));
  playing = button?.dataset.play ?? null;
  button?.setAttribute("aria-pressed", "true");
};
sound.addEventListener("ended", () => showPlaying(null));
document.addEventListener("click", event => {
  const button = event.target.closest("[data-play]");
  if (!button) return;
  if (playing === button.dataset.play) { sound.pause(); showPlaying(null); return; }
  sound.src = button.dataset.play;
  showPlaying(button);
  sound.play().catch(error => { if (error.name !== "AbortError") showPlaying(null); });
});

for (const place of document.querySelectorAll("[data-log]")) {
  let end = "";
  repeat(async () => {
    const { text, end: now } = await ask(`${place.dataset.log}?from=${end}`);
    const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
    if (end !== "" && now < end) place.textContent = "";
    if (text) place.append(text);
    end = now;
    if (atEnd) place.scrollTop = place.scrollHeight;
  }, POLL_MS);
}
