-- API keys: of each its file keeps a digest. The file is looked at while keys are shown, so a change counts at once.

local cjson = require "cjson.safe"
local policy = require "meristem.policy"
local followed_file = require "meristem.followed_file"
local signatures = require "meristem.signatures"

local BETWEEN = 0.2  -- seconds for which the file is not looked at again
local LONGEST = 100  -- characters of a key
local ID = 19  -- characters that name it
local NONE = '{"keys": [], "version": 1}'

local function days(year, month, day)  -- since 1970-01-01, in the calendar of Gregory
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
        + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

-- The seconds since 1970 of a time as the file has it (RFC 3339).
local function seconds(text)
    local year, month, day, hour, minute, second, zone =
        text:match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):([%d.]+)(.*)$")
    local sign, ahead, minutes = (zone or ""):match("^([+-])(%d%d):?(%d%d)$")
    if not year or (zone ~= "Z" and not sign) then
        return nil
    end
    local offset = sign and (sign .. "1") * (ahead * 3600 + minutes * 60) or 0
    return days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second - offset
end

local function set_of(list)
    local found = {}
    for _, each in ipairs(list or {}) do
        found[each] = true
    end
    return found
end

local function read(text)
    local found, why = cjson.decode(text)
    if type(found) ~= "table" or type(found.keys) ~= "table" then
        return nil, "it is no file of API keys: " .. tostring(why or "it has no list of keys")
    elseif found.version ~= 1 then
        return nil, "it is of a newer release"
    end
    local keys = {}
    for _, each in ipairs(found.keys) do
        local ends = math.huge
        if type(each.expires) == "string" then
            ends = seconds(each.expires)
            if not ends then
                return nil, "of the key " .. tostring(each.name) .. " it can't be read when it ends"
            end
        end
        keys[each.id] = {
            digest = each.digest, ends = ends,
            user = {
                subject = "key:" .. each.name, key = each.name, tenant = each.tenant or "",
                roles = set_of(each.roles), scopes = set_of(each.scopes),
            },
        }
    end
    return keys
end

local file = policy.keys and followed_file.new(policy.keys, BETWEEN, read, NONE)

local function hexadecimal(bytes)
    return (bytes:gsub(".", function(each) return ("%02x"):format(each:byte()) end))
end

local _M = {}

-- Whose a key is; nil and why it proves nothing.
function _M.find(key)
    if not file then
        return nil, "API keys are not taken here"
    end
    local known = #key <= LONGEST and (file:get() or {})[key:sub(1, ID)]
    if not known or not signatures.equal(hexadecimal(signatures.sha256(key)), known.digest) then
        return nil, "the API key is not known"
    elseif ngx.now() >= known.ends then
        return nil, "the API key has expired"
    end
    return known.user
end

return _M
