-- Decides by the token of a request, whose signature Envoy has checked, whether its route lets it in.

local strict_json = require("meristem.strict_json")
local token_claims = require("meristem.token_claims")

local null = strict_json.null
local claim, set_of = token_claims.claim, token_claims.set_of
local LONGEST, LONGEST_TEXT = 16 * 1024, 255
local LEAST_RSA = 256  -- bytes (RFC 7518, section 3.3)
local SIGNATURES = {ES256 = 64, ES384 = 96, ES512 = 132}
local SIXTY_FOUR = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- What base64url stands for; nil for what is none.
local function decoded(text)
  if text:find("[^%w_-]") or #text % 4 == 1 then return nil end
  local bytes, number, bits = {}, 0, 0
  for letter in text:gmatch(".") do
    number, bits = number * 64 + SIXTY_FOUR:find(letter, 1, true) - 1, bits + 6
    if bits >= 8 then
      bits = bits - 8
      local whole = math.floor(number / 2 ^ bits)
      bytes[#bytes + 1] = string.char(whole)
      number = number - whole * 2 ^ bits
    end
  end
  return number == 0 and table.concat(bytes) or nil  -- one spelling of each
end

-- Header and claims of a token, read so that nothing in them has two meanings, and its signature; nil where they can't be.
local function read(token)
  local first, second, third = token:match("^([^.]*)%.([^.]*)%.([^.]*)$")
  if first == nil then return nil end
  local header, claims, signature = decoded(first), decoded(second), decoded(third)
  if header == nil or claims == nil or signature == nil then return nil end
  header, claims = strict_json.object(header), strict_json.object(claims)
  return header, claims, signature
end

-- Whether a signature is as long as its algorithm has it: one of RSA is as long as its key, which Envoy takes of any
-- length, and one of ECDSA has two numbers of the bytes of its curve.
local function is_as_long_as_due(signature, algorithm)
  if algorithm:find("^[RP]S") then return #signature >= LEAST_RSA end
  return SIGNATURES[algorithm] == nil or #signature == SIGNATURES[algorithm]
end

local function characters(text)
  local _, number = text:gsub("[^\128-\191]", "")
  return number
end

local function refuse(handle, status, why, challenge)
  local fields = {[":status"] = status, ["cache-control"] = "no-store"}
  if challenge then fields["www-authenticate"] = challenge end
  if status == "503" then fields["retry-after"] = "5" end
  handle:respond(fields, why)
end

local function unproved(handle, why)
  refuse(handle, "401", why, string.format('Bearer error="invalid_token", error_description="%s"', why))
end

local function is_time(value)
  return value == nil or value == null or (type(value) == "number" and math.abs(value) < 1e12)
end

local function begins(claims, name, now)
  return type(claims[name]) == "number" and claims[name] or now
end

-- Why a token proves nothing here; nil for one that holds.
local function problem(issuer, header, claims, signature, now)
  if not issuer.algorithms[header.alg or ""] then
    return "the token is signed by an algorithm that is not allowed here"
  end
  if not is_as_long_as_due(signature, header.alg) then return "the signature of the token does not hold" end
  -- Envoy takes `https://shop.example/` for `shop.example`.
  if not token_claims.is_for(issuer, claims.aud) then return "the token is for another audience" end
  local odd = token_claims.header_problem(header)
  if odd ~= nil then return odd end
  if type(claims.exp) ~= "number" then return "the token has no time at which it ends (exp)" end
  if not (is_time(claims.exp) and is_time(claims.nbf) and is_time(claims.iat)) then
    return "a time of the token is none"
  end
  if now >= claims.exp + issuer.leeway then return "the token has expired" end
  if now < math.max(begins(claims, "nbf", now), begins(claims, "iat", now)) - issuer.leeway then return "the token is not valid yet" end
  if claims.cnf ~= nil then return "the token is bound to a key, of which nothing is proved here" end
  local subject = claim(claims, issuer.subject)
  if type(subject) ~= "string" or subject == "" or characters(subject) > LONGEST_TEXT then return "the token names no subject" end
  if (issuer.prefix .. subject):sub(1, 4) == "key:" then
    return "the token names a subject as only API keys have one"
  end
  return nil
end

-- Whose the token is, if Envoy has verified it; nil and how it failed for any other.
local function verified(handle)
  local told = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn") or {}
  for name, issuer in pairs(ISSUERS) do
    if told[name] ~= nil then return issuer end
  end
  return nil, told[":failed"]
end

-- The address that a request comes from; of IPv6 the network of 64 bits, since one host may have all of it.
local function network(address)
  local inner = address:match("^%[(.*)%]")
  if inner == nil then return address:match("^[^:]*") end
  local head, tail = inner:match("^(.-)::(.*)$")
  local groups = {}
  for group in (head or inner):gmatch("[^:]+") do groups[#groups + 1] = group end
  local behind = {}
  for group in (tail or ""):gmatch("[^:]+") do behind[#behind + 1] = group end
  while #groups + #behind < 8 do groups[#groups + 1] = "0" end
  for _, group in ipairs(behind) do groups[#groups + 1] = group end
  return table.concat(groups, ":", 1, 4)
end

-- Tells the limits behind whom they count.
local function count(handle, user, tenant)
  local told = handle:streamInfo():dynamicMetadata()
  local known = user or "address " .. network(handle:streamInfo():downstreamRemoteAddress())
  told:set("meristem", "user", known)
  told:set("meristem", "tenant", tenant or known)
end

local function judge(handle, route, claims, issuer)
  local scopes, roles = set_of(claim(claims, issuer.scopes)), set_of(claim(claims, issuer.roles))
  for _, scope in ipairs(route.scopes or {}) do
    if not scopes[scope] then
      local wanted = table.concat(route.scopes, " ")
      local challenge = string.format('Bearer error="insufficient_scope", scope="%s"', wanted)
      return refuse(handle, "403", "this needs the scope " .. wanted, challenge)
    end
  end
  if route.roles == nil then return end
  for _, role in ipairs(route.roles) do
    if roles[role] then return end
  end
  refuse(handle, "403", "this needs a role that you have not")
end

local function decide(handle)
  local route = handle:metadata():get("requirement")
  count(handle)
  if route == nil then return end
  local headers = handle:headers()
  if headers:get("x-api-key") ~= nil then return unproved(handle, "API keys are not taken here") end
  local scheme, token = (headers:get("authorization") or ""):match("^(%S*) *(.*)$")
  if scheme:lower() ~= "bearer" then
    if route.require ~= "anybody" then refuse(handle, "401", "send a token, as `Authorization: Bearer ...`", "Bearer") end
    return
  end
  if #token > LONGEST then return unproved(handle, "the token is too long") end
  local issuer, failed = verified(handle)
  if issuer == nil then
    if failed ~= nil and failed.message == "Jwks remote fetch is failed" then
      return refuse(handle, "503", "the keys of the issuer of this token have not been read yet")
    end
    return unproved(handle, "the token does not hold")
  end
  local header, claims, signature = read(token)
  if header == nil or claims == nil then return unproved(handle, token_claims.UNREADABLE) end
  local why = problem(issuer, header, claims, signature, handle:timestamp() / 1000)
  if why ~= nil then return unproved(handle, why) end
  local tenant = claim(claims, issuer.tenant)
  tenant = type(tenant) == "string" and tenant ~= "" and "tenant " .. tenant:sub(1, LONGEST_TEXT) or nil
  handle:streamInfo():dynamicMetadata():set("meristem", "is_known", true)
  count(handle, "user " .. issuer.prefix .. claim(claims, issuer.subject), tenant)
  judge(handle, route, claims, issuer)
end

-- Of a script that fails Envoy makes nothing: the request would go on.
function envoy_on_request(handle)
  local is_done, why = pcall(decide, handle)
  if not is_done then
    handle:logErr("token requirement: " .. tostring(why))
    handle:respond({[":status"] = "500"}, "who asks could not be looked at")
  end
end

-- What is answered to somebody is nothing for a cache of many.
function envoy_on_response(handle)
  local told = handle:streamInfo():dynamicMetadata():get("meristem")
  if told ~= nil and told.is_known then handle:headers():add("cache-control", "private") end
end
