-- The rules of the firewall: the first that fits decides, and what none fits may pass.

local policy = require "meristem.policy"
local tell_dry = require "meristem.dry_runs"
local networks = require "meristem.networks"
local followed_file = require "meristem.followed_file"
local refused = require("meristem.refusal").refused
local unescape = require("meristem.canonical_path").unescape

local BETWEEN = 1.0  -- seconds between two looks at a file of addresses

-- One address or network in each line, `#` begins a comment; those of the rule itself are there, too.
local function reader(own)
    return function(text)
        local found = {unpack(own)}
        for line in (text .. "\n"):gmatch("([^\r\n]*)[\r\n]") do
            local entry = line:gsub("#.*", ""):match("^%s*(.-)%s*$")
            if entry ~= "" then
                found[#found + 1] = entry
            end
        end
        return networks.of(found)
    end
end

for _, rule in ipairs(policy.rules) do
    if rule.file then
        rule.listed = followed_file.new(rule.file, BETWEEN, reader(rule.addresses or {}))
        assert(rule.listed.found, rule.listed.failed)
    elseif rule.addresses then
        rule.networks = assert(networks.of(rule.addresses))
    end
end

local function path_fits(rule, path)
    path = path:gsub("/+$", "")  -- as of routes: a slash more or less at the end makes no other path
    if rule.whole[path] then
        return true
    end
    path = path .. "/"
    for _, start in ipairs(rule.below) do
        if path:sub(1, #start) == start then
            return true
        end
    end
    return false
end

-- Whether a text is these parts with anything in between: looked for part by part, which takes no longer than it is long.
local function is_like(text, parts)
    local first, last = parts[1], parts[#parts]
    if #parts == 1 then
        return text == first
    end
    if #text < #first + #last or text:sub(1, #first) ~= first or (last ~= "" and text:sub(-#last) ~= last) then
        return false
    end
    local at, ends = #first + 1, #text - #last
    for number = 2, #parts - 1 do
        local from, to = text:find(parts[number], at, true)
        if not from or to > ends then
            return false
        end
        at = to + 1
    end
    return true
end

local function header_fits(condition, head)
    local value = head[condition.name]
    if condition.present ~= nil then
        return (value ~= nil) == condition.present
    end
    if value == nil then
        return false
    end
    if condition.equals then
        return value == condition.equals
    end
    return is_like(value:lower(), condition.parts)
end

local function body_of(head)
    return head["transfer-encoding"] and math.huge or tonumber(head["content-length"] or 0) or math.huge
end

local function fits(rule, visit)
    if rule.methods and not rule.methods[visit.method] then
        return false
    end
    if rule.head and not (tonumber(ngx.var.request_length) > rule.head)
        or rule.query and not (#visit.query > rule.query)
        or rule.body and not (body_of(visit.head) > rule.body) then
        return false
    end
    if rule.whole then
        if not path_fits(rule, visit.path) then
            return false
        end
        -- By every reading: whoever takes `/open;x/y` for one name is not at `/open`.
        if rule.allow and not path_fits(rule, unescape(visit.served)) then
            return false
        end
    end
    for _, condition in ipairs(rule.headers) do
        if not header_fits(condition, visit.head) then
            return false
        end
    end
    local among = rule.listed and rule.listed:get() or rule.networks
    return not among or among:has(visit.bytes)
end

-- The refusal of a request; nil for one that may go on. Who is denied is not told by which rule.
return function(visit)
    for _, rule in ipairs(policy.rules) do
        if fits(rule, visit) then
            local why = "the firewall's rule " .. rule.name .. " denies it"
            if rule.dry then
                if not rule.allow then
                    tell_dry(why)
                end
            elseif rule.allow then
                return nil
            else
                visit.by, visit.violation, visit.why = rule.name, "denied", why
                return refused(rule.status, "this request is not served here")
            end
        end
    end
end
