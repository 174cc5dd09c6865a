-- What Gateway decides for a session, in Lua for nginx: limit, session, origin, identity.
--
-- A sliding window for each client in shared memory. The session's cookie is hashed, and looked up
-- in Redis in each request; with fresh_s, an answer is kept for so long in shared memory. Sessions
-- are JSON with an expiry. A request that may change something must come from a page of the
-- gateway's origin.

local ffi = require "ffi"
local redis = require "nginx.redis"
local json = require "cjson.safe"

ffi.cdef "unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md);"

local WINDOW_S = 60
local RATE = 100000000
local TIMEOUT_MS = 5000
local POOL_IDLE_MS = 600000
local POOL_SIZE = 256
local PREFIX = "rival:session:"
local SECRET_BYTES = 43
local IS_SAFE = {GET = true, HEAD = true, OPTIONS = true}

local C, find, sub, byte, format = ffi.C, string.find, string.sub, string.byte, string.format
local floor, concat = math.floor, table.concat
local sessions, limits = ngx.shared.sessions, ngx.shared.limits
local digest = ffi.new "unsigned char[32]"
local hex = {}
for number = 0, 255 do
    hex[number] = format("%02x", number)
end

local M = {}

local function refuse(status, title, code)
    local body = format(
        '{"type":"about:blank","title":"%s","status":%d,"code":"%s","request_id":"%s"}\n',
        title, status, code, ngx.var.request_id)
    local header = ngx.header
    ngx.status = status
    header["Content-Type"] = "application/problem+json"
    header["Content-Length"] = #body
    header["Cache-Control"] = "no-store"
    if status == 401 then
        header["WWW-Authenticate"] = "Bearer"
    end
    ngx.print(body)
    return ngx.exit(status)
end

-- Charge a sliding window: the window of now, and the share of the one before that still counts.
local function is_within_limit(client)
    local now_s = ngx.now()
    local window = floor(now_s / WINDOW_S)
    local used = limits:incr(client .. ":" .. window, 1, 0, 2 * WINDOW_S)
    local before = limits:get(client .. ":" .. (window - 1)) or 0
    local share = 1 - (now_s - window * WINDOW_S) / WINDOW_S
    return (used or 0) + before * share <= RATE
end

-- The session's secret, and the cookies that the app gets.
local function split_cookies(text)
    local from, to = find(text, "session=", 1, true)
    while from and from > 1 and byte(text, from - 1) ~= 32 do
        from, to = find(text, "session=", to, true)
    end
    if not from then
        return nil, text
    end
    local ends = find(text, ";", to, true)
    local secret = sub(text, to + 1, ends and ends - 1)
    if from == 1 then
        return secret, ends and sub(text, ends + 2) or ""
    end
    return secret, sub(text, 1, from - 3) .. (ends and sub(text, ends) or "")
end

local function hashed(secret)
    C.SHA256(secret, #secret, digest)
    return ffi.string(digest, 32)
end

local function name_of(hash)
    local digits = {}
    for at = 1, 32 do
        digits[at] = hex[byte(hash, at)]
    end
    return PREFIX .. concat(digits)
end

-- Whether the store answered, and the text of the session there.
local function ask_store(hash)
    local client = redis:new()
    client:set_timeout(TIMEOUT_MS)
    if not client:connect(M.store) then
        return false
    end
    local text, failure = client:get(name_of(hash))
    if failure then
        return false
    end
    client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
    return true, text ~= ngx.null and text or nil
end

-- Whether the store answered, and the session as "issuer\nemail" if there is one.
local function session_of(secret)
    local hash = hashed(secret)
    local known = M.fresh_s > 0 and sessions:get(hash)
    if known then
        return true, known
    end
    local is_answered, text = ask_store(hash)
    local record = text and json.decode(text)
    if not record then
        return is_answered
    end
    local left_s = record.expires_at_ms / 1000 - ngx.now()
    if left_s <= 0 then
        return true
    end
    local session = record.issuer .. "\n" .. (record.email or "")
    if M.fresh_s > 0 then
        sessions:set(hash, session, left_s < M.fresh_s and left_s or M.fresh_s)
    end
    return true, session
end

local function is_own_origin()
    local origin = ngx.var.http_origin
    if origin then
        return origin == M.origin
    end
    return ngx.var.http_sec_fetch_site == "same-origin"
end

function M.decide()
    local var = ngx.var
    if not is_within_limit(var.binary_remote_addr) then
        return refuse(429, "Too Many Requests", "rate_limited")
    end
    local text = var.http_cookie
    if not text then
        return refuse(401, "Unauthorized", "unauthenticated")
    end
    local secret, rest = split_cookies(text)
    if not secret or #secret ~= SECRET_BYTES then
        return refuse(401, "Unauthorized", "unauthenticated")
    end
    local is_answered, session = session_of(secret)
    if not is_answered then
        return refuse(503, "Service Unavailable", "store_unavailable")
    end
    if not session then
        return refuse(401, "Unauthorized", "session_ended")
    end
    if not IS_SAFE[ngx.req.get_method()] and not is_own_origin() then
        return refuse(403, "Forbidden", "cross_site")
    end
    local at = find(session, "\n", 1, true)
    var.user_issuer = sub(session, 1, at - 1)
    var.user_email = sub(session, at + 1)
    var.app_cookie = rest
end

-- The fields of the request that the app gets, where nginx does not write them itself.
function M.write_fields()
    local var, set, clear = ngx.var, ngx.req.set_header, ngx.req.clear_header
    clear "X-User-Public-Address"
    clear "X-User-Phone"
    clear "Forwarded"
    set("X-User-Issuer", var.user_issuer)
    set("X-User-Email", var.user_email)
    set("X-Request-Id", var.request_id)
    set("X-Forwarded-For", var.remote_addr)
    set("X-Forwarded-Proto", var.scheme)
    set("X-Forwarded-Host", var.http_host)
    if var.app_cookie == "" then
        clear "Cookie"
    else
        set("Cookie", var.app_cookie)
    end
end

return M
