-- What happens to a request, in one order: from what costs least to what costs most. It is let in to the edge, or has its
-- answer here. What fails lets nobody in.

local lrucache = require "resty.lrucache"
local policy = require "meristem.policy"
local bans = policy.ban and require "meristem.bans"
local canonical_path = require "meristem.canonical_path"
local cross_origin = require "meristem.cross_origin"
local crowds = require "meristem.crowds"
local fields = require "meristem.fields"
local firewall = require "meristem.firewall"
local identity = require "meristem.identity"
local limits = require "meristem.limits"
local networks = require "meristem.networks"
local refusal = require "meristem.refusal"
local routes = require "meristem.routes"

local find = ngx.re.find
local PROBE = "/health"  -- who probes asks by address and without TLS
local HOST = [[\A(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?\z]]
local TOLD_HOST = [[\A(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\z]]
local TWO_ROUTES = "the path is on two routes, by how it is read: write it without `;` and `\\`"
local FIRST = policy.routes["*"].location  -- the terms of the location that requests come in by
-- What nginx may send again: what changes nothing, and these three others only where they have reached nobody. All else
-- goes on where nothing is sent twice.
local SENT_AGAIN = {GET = true, HEAD = true, OPTIONS = true, TRACE = true, POST = true, PATCH = true, LOCK = true}
local UNIX = "unix:"

local hosts = assert(lrucache.new(1000))
local trusted = assert(networks.of(policy.proxies))
local visits, number = {}, 0  -- those that went on by another location, where their context is forgotten
local _M = {}

local function joined(head)
    for name, value in pairs(head) do
        if type(value) == "table" then  -- a field that came twice is a list (RFC 9110, 5.3)
            for at, each in ipairs(value) do
                value[at] = each == true and "" or each
            end
            head[name] = table.concat(value, ", ")
        elseif value == true then
            head[name] = ""
        end
    end
    return head
end

-- The host in small letters, without its port and without a dot at its end; nil for what is no host (RFC 3986, 3.2.2).
local function host_name(text)
    local name = hosts:get(text)
    if not name then
        if not find(text, HOST, "jo") then
            return nil
        end
        name = text:lower()
        name = (name:match("^%[[^%]]*%]?") or name:match("^[^:]*")):gsub("%.$", "")
        hosts:set(text, name)
    end
    return name
end

-- Of IPv6 what counts as one is a network of 64 bits, all of which one host may have. One of IPv4 has one key, whether
-- a proxy writes it as such or within IPv6.
local function address_of(bytes, text)
    if #bytes == 16 then
        return ngx.encode_base64(bytes:sub(1, 8)) .. "/64"
    end
    return #bytes == 4 and ("%d.%d.%d.%d"):format(bytes:byte(1, 4)) or text  -- of a Unix socket there is no address
end

-- The values of a field that is a list.
local function listed(text)
    local values = {}
    for each in (text or ""):gmatch("[^,]+") do
        values[#values + 1] = each:match("^%s*(.-)%s*$")
    end
    return values
end

-- What the farthest proxy that is trusted says: each adds a value, or the last one sets the only one.
local function said(head, name, hops)
    local values = listed(head[name])
    return values[math.max(1, #values - math.max(1, hops) + 1)]
end

-- How many of the proxies on the way are believed: the list is walked from the right for as long as they are trusted.
local function believed(head)
    local hops, list = 0, listed(head["x-forwarded-for"])
    for at = #list, 1, -1 do
        local text = list[at]  -- with a port, too, as some proxies write it
        local address = networks.read(text:match("^%[(.*)%]:?%d*$") or text:match("^([^:]*):%d+$") or text)
        if not address then
            break
        end
        hops = hops + 1
        if not trusted:has(networks.plain(address)) then
            break
        end
    end
    return hops
end

-- Scheme and host as a trusted proxy tells them.
local function told_by_proxies(visit, peer)
    local address = peer ~= UNIX and networks.read(peer)
    if not (peer == UNIX or address and trusted:has(networks.plain(address))) then
        return
    end
    local hops = believed(visit.head)
    local scheme = (said(visit.head, "x-forwarded-proto", hops) or ""):lower()
    if scheme == "http" or scheme == "https" then
        visit.scheme = scheme
        ngx.var.meristem_scheme = scheme
    end
    local host = said(visit.head, "x-forwarded-host", hops)
    if host and find(host, TOLD_HOST, "jo") then
        visit.host_field = host
        ngx.var.meristem_host = host
    end
end

local function arrived()
    local var = ngx.var
    local target = var.request_uri
    local mark = target:find("?", 1, true)
    local head, bytes = joined(ngx.req.get_headers(0)), networks.plain(var.binary_remote_addr)
    local visit = {
        method = ngx.req.get_method(),
        target = target,
        raw = mark and target:sub(1, mark - 1) or target,
        query = mark and target:sub(mark + 1) or "",
        head = head,
        scheme = var.scheme,
        host_field = head.host or "",
        bytes = bytes,
        client = var.remote_addr, address = address_of(bytes, var.remote_addr),
        route = "*",
        fields = {}, charges = {}, held = {},
    }
    visit.host = host_name(visit.host_field)
    if visit.host and visit.host ~= var.host then  -- who asks for a whole URL names the host there (RFC 9112, 3.2.2)
        visit.host, visit.host_field = host_name(var.host), var.host
        var.meristem_host = var.host
    end
    if visit.host and #policy.proxies > 0 then
        told_by_proxies(visit, var.realip_remote_addr or var.remote_addr)
        visit.host = host_name(visit.host_field)
    end
    return visit
end

-- The route of a request; nil and the refusal of one whose path is unsound.
local function find_route(visit)
    if visit.target:find('[^!"$-~]') then
        return nil, refusal.refused(400, "what is asked for is visible ASCII without a fragment (RFC 9112, 3.2)")
    elseif not visit.host then
        return nil, refusal.refused(400, "the host of the request is no host")
    end
    local served, seen = canonical_path.of(visit.raw)
    if not served then
        return nil, refusal.refused(400, seen)
    end
    visit.served, visit.path = served, seen
    local method = visit.method
    if cross_origin.is_preflight(visit) then
        -- Of a route that answers it; elsewhere an app does, by the method that it has.
        local asked = visit.head["access-control-request-method"]
        if policy.routes[routes.find(seen, served, visit.host, asked)].cors then
            method = asked
        end
    end
    local name = routes.find(seen, served, visit.host, method)
    if seen ~= served and routes.find(canonical_path.unescape(served), served, visit.host, method) ~= name then
        return nil, refusal.refused(400, TWO_ROUTES)
    end
    visit.route = name
    return policy.routes[name]
end

local function target_of(visit)
    return visit.query ~= "" and visit.served .. "?" .. visit.query or visit.served
end

-- At which host, with or without TLS.
local function elsewhere(visit)
    if visit.served ~= PROBE then
        if #policy.hosts > 0 and not routes.host_is_known(visit.host, policy.hosts) then
            return refusal.refused(421, visit.host ~= "" and "the host '" .. visit.host .. "' is not served here"
                or "the request names no host")
        end
        if policy.https and visit.scheme ~= "https" then
            if visit.host == "" then
                return refusal.refused(400, "the request names no host at which TLS could be spoken")
            end
            return refusal.answer(308, {"Location", "https://" .. visit.host .. target_of(visit)})
        end
    end
end

local function moved(visit, redirect)
    local location = redirect.to .. (redirect.path and visit.served or "")
    if redirect.query and visit.query ~= "" then
        location = location .. "?" .. visit.query
    end
    return refusal.answer(redirect.status, {"Location", location})
end

-- The answer that a request has here; nil for one that is let in.
local function decide(visit)
    local route, outcome = find_route(visit)
    if not route then
        return outcome
    end
    outcome = bans and bans.check(visit) or firewall(visit) or elsewhere(visit)
    outcome = outcome or route.cors and cross_origin.check(visit, route.cors)
    outcome = outcome or route.redirect and moved(visit, route.redirect)
    if outcome then
        return outcome
    end
    local length = tonumber(visit.head["content-length"] or 0)
    if route.body and length and length > route.body then
        return refusal.refused(413, "a body may have " .. route.body .. " bytes here")
    end
    outcome = #route.early > 0 and limits.check(visit, route.early)
    outcome = outcome or route.require and identity(visit, route.require)
    outcome = outcome or #route.late > 0 and limits.check(visit, route.late)
    for _, name in ipairs(route.crowds) do
        outcome = outcome or crowds.check(visit, name)
    end
    return outcome or nil
end

local function release(visit)
    limits.leave(visit)
    crowds.leave(visit)
end

local function refuse(visit, outcome)
    release(visit)
    visit.refused = true
    if visit.violation and bans then
        bans.blame(visit, visit.why or "refused by " .. tostring(visit.by))
    end
    return refusal.send(outcome)
end

-- The location by which a request goes on; nil for the one that it came in by.
local function location_of(visit, route)
    if not SENT_AGAIN[visit.method] then
        return route.once
    elseif route.location ~= FIRST or route.body and visit.head["transfer-encoding"] then  -- that one counts as it comes
        return route.location
    end
end

local function go_on(visit)
    local route = policy.routes[visit.route]
    fields.of_request(visit, route.requests)
    local target = target_of(visit)
    if target ~= visit.target then
        ngx.var.meristem_target = target
    end
    local location = location_of(visit, route)
    if location then
        number = number + 1
        visits[number] = visit
        ngx.var.meristem_visit = number
        return ngx.exec(location)
    end
end

-- Decide about a request.
function _M.enter()
    local visit = arrived()
    ngx.ctx.meristem_visit = visit
    local outcome = decide(visit)
    if outcome then
        return refuse(visit, outcome)
    end
    return go_on(visit)
end

local function current()
    local visit = ngx.ctx.meristem_visit
    if not visit then
        visit = visits[tonumber(ngx.var.meristem_visit) or 0]
        ngx.ctx.meristem_visit = visit
    end
    return visit
end

-- Shape the answer to it.
function _M.answer()
    local visit = current()
    if visit then
        fields.of_answer(visit)
    end
end

-- It is over.
function _M.leave()
    local visit = current()
    if visit then
        release(visit)
    end
    local kept = tonumber(ngx.var.meristem_visit)
    if kept then
        visits[kept] = nil
    end
end

return _M
