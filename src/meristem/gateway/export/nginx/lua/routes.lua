-- Which route a request is on: the policy has the ways to be on one in the order in which they are asked.

local policy = require "meristem.policy"
local unescape = require("meristem.canonical_path").unescape

local find = ngx.re.find
local matches = policy.matches
local calls, whole, below, rest = matches.calls, matches.whole, matches.below, matches.rest

local _M = {}

-- Whether a host is one of a pattern: a name, or below one that begins with `*.`.
local function host_fits(host, pattern)
    if pattern:sub(1, 1) ~= "*" then
        return host == pattern
    end
    local tail = pattern:sub(2)
    return host:sub(-#tail) == tail and host:sub(1, 1) ~= "."
end

local function takes(fit, host, method)
    return (not fit.host or host_fits(host, fit.host)) and (not fit.methods or fit.methods[method])
end

local function first(fits, host, method)
    for _, fit in ipairs(fits or {}) do
        if takes(fit, host, method) then
            return fit.route
        end
    end
end

-- At REST a path is asked for by its segments: an escaped slash is a part of one, a slash at the end is forgiven.
local function at_rest(served, host, method)
    local path = served
    if path:find("%", 1, true) then
        path = unescape(path:gsub("%%2F", "%%252F"))
    end
    path = #path > 1 and path:gsub("/$", "") or path
    for _, fit in ipairs(rest) do
        if find(path, fit.pattern, "jo") then
            if not fit.route then
                return nil  -- other operations are here, which are on no route
            end
            if takes(fit, host, method) then
                return fit.route
            end
        end
    end
end

function _M.host_is_known(host, patterns)
    for _, pattern in ipairs(patterns) do
        if host_fits(host, pattern) then
            return true
        end
    end
    return false
end

-- The name of the route, by the path as the policy looks at it and as it is served.
function _M.find(seen, served, host, method)
    local found = first(calls[served], host, method) or (#rest > 0 and at_rest(served, host, method))
    if found then
        return found
    end
    local closed = seen:sub(-1) == "/" and seen or seen .. "/"
    found = first(whole[closed], host, method)
    if found then
        return found
    end
    for _, each in ipairs(below) do
        if closed:sub(1, #each.path) == each.path then
            found = first(each.fits, host, method)
            if found then
                return found
            end
        end
    end
    return "*"
end

return _M
