// An app on Node's http: the paths that tests/peers/test_origins.py asks for.
import http from "node:http";

const large = Buffer.alloc(2 * 1024 * 1024, Buffer.from([...Array(256).keys()]));

http.createServer((request, response) => {
  const name = new URL(request.url, "http://x").pathname.split("/").pop();
  switch (name) {
    case "hello": return response.writeHead(200, {"Content-Length": 5}).end("hello");
    case "stream":
      response.writeHead(200);
      for (let number = 0; number < 50; number++) response.write(`part ${number}\n`);
      return response.end();
    case "large": return response.writeHead(200, {"Content-Length": large.length}).end(large);
    case "empty": return response.writeHead(204).end();
    case "unchanged": return response.writeHead(304, {ETag: '"x"'}).end();
    case "moved": return response.writeHead(302, {Location: "hello"}).end();
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    response.writeHead(200, {"Content-Length": body.length}).end(body);
  });
}).listen(+process.argv[2], "127.0.0.1");
