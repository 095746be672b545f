-- One spelling of each path (RFC 3986, 6.2.2), before anything is decided about it; what could still be read in two
-- ways is refused.

local find = ngx.re.find
local gsub, byte, char, upper, concat = string.gsub, string.byte, string.char, string.upper, table.concat

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

-- Whether the bytes are UTF-8 (RFC 3629): no long forms, no halves of pairs.
function _M.is_utf8(text)
    local at = text:find("[\128-\255]")
    while at do
        local first, second = byte(text, at, at + 1)
        local more, least, most = 0, 0x80, 0xBF
        if first >= 0xC2 and first <= 0xDF then
            more = 1
        elseif first >= 0xE0 and first <= 0xEF then
            more = 2
            if first == 0xE0 then least = 0xA0 elseif first == 0xED then most = 0x9F end
        elseif first >= 0xF0 and first <= 0xF4 then
            more = 3
            if first == 0xF0 then least = 0x90 elseif first == 0xF4 then most = 0x8F end
        else
            return false
        end
        if not second or second < least or second > most then
            return false
        end
        for further = at + 2, at + more do
            local each = byte(text, further)
            if not each or each < 0x80 or each > 0xBF then
                return false
            end
        end
        at = text:find("[\128-\255]", at + more + 1)
    end
    return true
end

_M.unescape = unescape

-- The path as it is served and as the policy looks at it; or nil and why there is none.
function _M.of(path)
    if not find(path, [[[%\\;]|//|/\.]], "jo") then
        return path, path
    end
    if path:find("%%%X") or path:find("%%%x?$") or path:find("%%%x%X") then
        return nil, "a % in a path begins an escape of two hexadecimal digits, such as %20"
    end
    local served = without_dots((gsub(path, "%%(%x%x)", normal_escape)))
    local seen = unescape(served)
    if not _M.is_utf8(seen) then
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
