-- One spelling of each path (RFC 3986, 6.2.2), before anything is decided about it; what could still be read in two
-- ways is refused.

local is_utf8 = require("meristem.utf8").is_utf8

local find, gsub, char, upper, concat = string.find, string.gsub, string.char, string.upper, table.concat

local _M = {}

local function unescape(text)
    return (gsub(text, "%%(%x%x)", function(digits) return char(tonumber(digits, 16)) end))
end

-- Letters, digits and -._~ are written as they are, all other escapes in capitals.
local function normal_escape(digits)
    local found = char(tonumber(digits, 16))
    if found:find("^[%w%-%._~]$") then
        return found
    end
    return "%" .. upper(digits)
end

-- Without `.`, `..` and empty segments (RFC 3986, 5.2.4); `..` at the root stays there.
local function without_dots(path)
    local kept, last = {}, ""
    for segment in (path .. "/"):sub(2):gmatch("([^/]*)/") do
        last = segment
        if segment == ".." then
            kept[#kept] = nil
        elseif segment ~= "" and segment ~= "." then
            kept[#kept + 1] = segment
        end
    end
    local ends = last == "" or last == "." or last == ".."
    if ends and #kept > 0 then
        kept[#kept + 1] = ""
    end
    return "/" .. concat(kept, "/")
end

_M.unescape = unescape

-- Whether a path can have another spelling. Asked for texts, not for a pattern, which LuaJIT compiles.
local function has_other_spelling(path)
    return find(path, "%", 1, true) or find(path, "\\", 1, true) or find(path, ";", 1, true)
        or find(path, "//", 1, true) or find(path, "/.", 1, true)
end

-- The path as it is served and as the policy looks at it; or nil and why there is none.
function _M.of(path)
    if not has_other_spelling(path) then
        return path, path
    end
    if path:find("%%%X") or path:find("%%%x?$") or path:find("%%%x%X") then
        return nil, "a % in a path begins an escape of two hexadecimal digits, such as %20"
    end
    local served = without_dots((gsub(path, "%%(%x%x)", normal_escape)))
    local seen = unescape(served)
    if not is_utf8(seen) then
        return nil, "the escapes of the path are not UTF-8"
    end
    if seen:find("\0", 1, true) then
        return nil, "a path holds no NUL"
    end
    seen = gsub(gsub(seen, "\\", "/"), ";[^/]*", "")
    if without_dots(seen) ~= seen then
        return nil, "the path can be read in two ways: write it without escaped slashes, `\\` or `;`"
    end
    return served, seen
end

return _M
