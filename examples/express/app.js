// Greets the user that the gateway has authenticated.
import express from "express";

const app = express();

app.get("/", (request, response) => {
  // Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
  const issuer = decodeURIComponent(request.get("X-User-Issuer") ?? "");
  const email = decodeURIComponent(request.get("X-User-Email") ?? "");
  response.json({ greeting: `Hello, ${email || issuer}`, issuer, email });
});

app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
