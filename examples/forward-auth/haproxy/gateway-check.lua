-- Asks the gateway whether a request may pass. Any answer but a yes goes to the client.

local GATEWAY = "http://127.0.0.1:8080/_gateway/verify"
local TIMEOUT_MS = 5000

-- Fields that the gateway needs to decide.
local ASKED = {
  "authorization", "cookie", "x-api-key", "origin", "sec-fetch-site", "sec-fetch-mode", "accept",
  "accept-language", "x-requested-with", "sec-websocket-key", "sec-websocket-version", "x-forwarded-for",
  "x-forwarded-proto", "access-control-request-method", "access-control-request-headers",
}
-- Fields for the app; those that the client sent under these names were dropped before.
local TOLD = {
  "x-user-issuer", "x-user-email", "x-user-public-address", "x-user-phone", "x-user-roles", "x-user-permissions",
  "x-auth-method", "x-gateway-assertion", "x-request-id",
}
-- Fields for the client if the answer is a no.
local PASSED_ON = {
  "location", "www-authenticate", "retry-after", "allow", "content-type", "cache-control", "vary",
  "content-language", "content-security-policy", "referrer-policy", "x-content-type-options",
  "x-frame-options",
}

local function all(values)  -- HAProxy counts from 0
  local list = {}
  local place = 0
  while values ~= nil and values[place] ~= nil do
    list[#list + 1] = values[place]
    place = place + 1
  end
  return list
end

local function refuse(txn, status, fields, body)
  local reply = txn:reply()
  reply:set_status(status)
  for _, name in ipairs(PASSED_ON) do
    for _, value in ipairs(all(fields[name])) do reply:add_header(name, value) end
  end
  reply:set_body(body)
  txn:done(reply)
end

core.register_action("gateway_check", {"http-req"}, function(txn)
  local sent = txn.http:req_get_headers()
  local fields = {}
  for _, name in ipairs(ASKED) do
    local values = all(sent[name])
    if #values > 0 then fields[name] = values end
  end
  fields["x-original-method"] = {txn.sf:method()}
  fields["x-original-uri"] = {txn.sf:url()}
  fields["x-original-host"] = all(sent["host"])

  local answer = core.httpclient():get{url = GATEWAY, headers = fields, timeout = TIMEOUT_MS}
  if answer == nil or answer.status == nil or answer.status < 200 then
    return refuse(txn, 503, {}, "")
  end
  if answer.status ~= 200 then
    local status = answer.status
    if status == 401 and answer.headers["location"] ~= nil then status = 302 end
    return refuse(txn, status, answer.headers, answer.body or "")
  end
  for _, name in ipairs(TOLD) do
    txn.http:req_del_header(name)
    for _, value in ipairs(all(answer.headers[name])) do
      if value ~= "" then txn.http:req_add_header(name, value) end
    end
  end
end)
