// Receives webhooks of the gateway: verifies each, drops repeats, and answers.
import { mkdirSync } from "node:fs";
import { readdir, readlink, symlink } from "node:fs/promises";
import { join } from "node:path";
import express from "express";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.HOOK_SECRET);
const folder = process.env.HOOK_FOLDER ?? "people";
mkdirSync(folder, { recursive: true });

const app = express();

// The signature is over the bytes: take the body as it is, not parsed.
app.post("/hooks", express.raw({ type: "*/*", limit: "1mb" }), async (request, response) => {
  let event;
  try {
    event = webhook.verify(request.body, request.headers);
  } catch {
    return response.sendStatus(401);
  }
  await handle(request.get("webhook-id"), event);
  response.sendStatus(204);
});

async function handle(id, event) {
  // A test is of `gateway hooks test`, and about no person.
  if (event.type !== "user.first_login" || event.data.test === true) return;
  // The work is named by the id, and done once: a repeat finds the name. Name and content of a
  // link come in one step, those of a file would not: a crash in between would lose the work.
  // With a database: insert the id, which is unique, in the transaction of the work.
  try {
    await symlink(event.subject, join(folder, Buffer.from(id).toString("hex")));
  } catch (error) {
    if (error.code !== "EEXIST") throw error; // answered 500: the gateway tries again
  }
}

app.get("/people", async (_request, response) => {
  const names = await readdir(folder);
  const people = await Promise.all(names.map((name) => readlink(join(folder, name))));
  response.json(people.sort());
});

app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
