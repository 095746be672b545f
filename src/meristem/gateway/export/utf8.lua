-- What UTF-8 is (RFC 3629).

local byte, find = string.byte, string.find

-- How many bytes a character beyond ASCII has that begins with this one, and the least and the most that the second
-- may be: there are no long forms and no halves of pairs.
local function of_character(first)
    if first < 0xC2 or first > 0xF4 then return nil end
    if first < 0xE0 then return 2, 0x80, 0xBF end
    if first < 0xF0 then return 3, first == 0xE0 and 0xA0 or 0x80, first == 0xED and 0x9F or 0xBF end
    return 4, first == 0xF0 and 0x90 or 0x80, first == 0xF4 and 0x8F or 0xBF
end

local function is_utf8(text)
    local at = find(text, "[\128-\255]")
    while at do
        local length, least, most = of_character(byte(text, at))
        if not length then return false end
        for further = at + 1, at + length - 1 do
            local each = byte(text, further)
            if not each or each < least or each > most then return false end
            least, most = 0x80, 0xBF
        end
        at = find(text, "[\128-\255]", at + length)
    end
    return true
end

return {is_utf8 = is_utf8}
