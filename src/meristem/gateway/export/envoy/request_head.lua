-- Puts each path into the one spelling by which routes and rules are found, and takes off what nobody outside may set:
-- who the user is, where a request came from, and by what Envoy itself would be told to repeat it or to wait for it.

local canonical_path = require("meristem.canonical_path")

local unescape = canonical_path.unescape

local function encoded(text)
  return (text:gsub("[^!-$&-~]", function(byte) return string.format("%%%02X", byte:byte()) end))
end

-- As REST reads it: by segments, in which an escaped slash is a part of a name.
local function by_segments(served)
  return (served:gsub("[^/]+", function(segment) return (encoded(unescape(segment)):gsub("/", "%%2F")) end))
end

local RESERVED = {forwarded = true, ["meristem-app"] = true, ["meristem-origin"] = true, ["meristem-route"] = true}

local function is_reserved(name)
  if name == "x-meristem-chunks" then return false end  -- told by Envoy itself
  local spelling = name:gsub("_", "-")
  if RESERVED[spelling] or spelling:find("^x%-meristem%-") or spelling:find("^x%-envoy%-") then return true end
  if name == "x-forwarded-for" or name == "x-forwarded-proto" then return false end
  if BELIEVES_PEER and name == "x-forwarded-host" then return false end
  return spelling:find("^x%-forwarded%-") ~= nil or spelling == "x-real-ip"
end

local function closed(text)
  return text:sub(-1) == "/" and text or text .. "/"
end

-- Whether a place of the policy is the path by one reading and not by another: to some of what stands behind, `;` and
-- `\` are letters of a name.
local function is_on_two_routes(seen, literal)
  if seen == literal then return false end
  for _, place in ipairs(PLACES) do
    local here = place.whole and seen == place.path or not place.whole and seen:sub(1, #place.path) == place.path
    local there = place.whole and literal == place.path or not place.whole and literal:sub(1, #place.path) == place.path
    if here ~= there then return true end
  end
  return false
end

local function host_name(host)
  return ((host:match("^%[.*%]") or host:match("^[^:]*")):lower():gsub("%.$", ""))
end

-- Whether it is a host with a port or without one (RFC 3986, 3.2.2). Two lines come as one with a comma, which no host has.
local function is_host(text)
  local name, port = text:match("^(%[[%x:.]+%])(.*)$")
  if name == nil then
    name, port = text:match("^([^:]*)(.*)$")
    if name:gsub("%%%x%x", ""):find("[^%w._~!$&'()*+;=-]") then return false end
  end
  return port == "" or (#port <= 6 and port:find("^:%d*$") ~= nil)
end

-- The scheme of a token is the same in small letters (RFC 9110, 11.1), but Envoy finds one by `Bearer` alone.
local function write_scheme(headers)
  if headers:getNumValues("authorization") == 1 then
    local scheme, token = headers:get("authorization"):match("^(%a+) (.*)$")
    if scheme and scheme ~= "Bearer" and scheme:lower() == "bearer" then
      headers:replace("authorization", "Bearer " .. token)
    end
  end
end

local function prepare(handle)
  local headers, reserved, size = handle:headers(), {}, 0
  for name, value in pairs(headers) do
    size = size + #name + #value + 4
    if is_reserved(name) then reserved[#reserved + 1] = name end
  end
  for _, name in ipairs(reserved) do headers:remove(name) end
  if not BELIEVES_PEER then
    local address = handle:streamInfo():downstreamDirectRemoteAddress()
    headers:replace("x-forwarded-for", address:match("^%[(.*)%]") or address:match("^[^:]*"))
  end
  for _, name in ipairs(ASKED_FIELDS) do
    local sent, values = name == "host" and ":authority" or name, {}
    for at = 0, headers:getNumValues(sent) - 1 do values[#values + 1] = headers:getAtIndex(sent, at) end
    if #values > 0 then headers:replace("x-meristem-field-" .. name, table.concat(values, ", ")) end
  end
  write_scheme(headers)
  if TRANSPORT_SECURITY ~= "" and headers:get("x-forwarded-proto") == "https" then
    handle:streamInfo():dynamicMetadata():set("meristem", "transport_security", TRANSPORT_SECURITY)
  end
  if not is_host(headers:get(":authority") or "") then
    handle:respond({[":status"] = "400"}, "the host of the request is no host")
    return
  end
  local path, query = headers:get(":path"):match("^([^?]*)(.*)$")
  if path:sub(1, 1) ~= "/" then return end
  local served, seen = canonical_path.of(path)
  if served == nil then
    handle:respond({[":status"] = "400"}, seen)
    return
  end
  local told, literal = encoded(closed(seen)), encoded(closed(unescape(served)))
  if is_on_two_routes(told, literal) then
    handle:respond({[":status"] = "400"}, "the path is on two routes, by how it is read: write it without `;` and `\\`")
    return
  end
  headers:replace(":path", served .. query)
  headers:replace("x-meristem-path", told)
  headers:replace("x-meristem-literal", literal)
  headers:replace("x-meristem-rest", by_segments(served))
  headers:replace("x-meristem-served", served)
  headers:replace("x-meristem-host", host_name(headers:get(":authority") or ""))
  headers:replace("x-meristem-query", #query > 1 and query or "")
  headers:replace("x-meristem-query-bytes", tostring(math.max(0, #query - 1)))
  headers:replace("x-meristem-head-bytes", tostring(size))
  handle:clearRouteCache()
end

-- Of a script that fails Envoy makes nothing: the request would go on.
function envoy_on_request(handle)
  local is_done, why = pcall(prepare, handle)
  if not is_done then
    handle:logErr("request head: " .. tostring(why))
    handle:respond({[":status"] = "500"}, "the request could not be looked at")
  end
end
