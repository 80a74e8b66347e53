// Asks the service every two seconds, while somebody looks, and shows what it says.

import { get, keepToken } from "./api.js";
import { byId, setText } from "./dom.js";
import { showOverview } from "./overview.js";
import { listenForPages, promptList } from "./prompts.js";
import { offer, renderForm, use } from "./render.js";

const PERIOD_MS = 2000;

const showPrompts = promptList(use);
const pause = byId("pause");
const tokenForm = byId("token-form");
let refused = false;

function tellState(text, good) {
  setText(byId("state"), text);
  byId("state").className = good ? "good" : "bad";
}

async function refresh() {
  try {
    const overview = await get("/api/overview");
    offer(overview);
    showOverview(overview);
    await showPrompts();
    tellState("Serving", true);
  } catch (failure) {
    tell(failure);
  }
}

function tell({ status, reason, message }) {
  refused = status === 401 || status === 403;
  tellState(reason === "DRAINING" ? "Shutting down" : `${reason}: ${message}`, false);
  if (status !== 401 || !tokenForm.hidden) return;
  tokenForm.hidden = false;
  byId("token").focus();
}

async function watch() {
  for (;;) {
    if (!document.hidden && !refused && pause.ariaPressed === "false") await refresh();
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
}

tokenForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken(byId("token").value);
  byId("token").value = "";
  tokenForm.hidden = true;
  refused = false;
  await refresh();
});
pause.addEventListener("click", () => {
  pause.ariaPressed = pause.ariaPressed === "true" ? "false" : "true";
});
listenForPages(() => showPrompts().catch(tell));
renderForm();
watch();
