-- How the gateway refuses: a problem (RFC 9457), whatever is asked for. The body is not waited for.

local cjson = require "cjson"

local PHRASES = {
    [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
    [413] = "Content Too Large", [421] = "Misdirected Request", [429] = "Too Many Requests",
    [503] = "Service Unavailable",
}

local _M = {}

-- An answer without a body, as a redirect is one.
function _M.answer(status, fields)
    return {status = status, fields = fields or {}, body = ""}
end

-- A refusal that says why, with further fields as names and values in turn.
function _M.refused(status, detail, fields)
    local problem = {type = "about:blank", title = PHRASES[status] or "", status = status, detail = detail}
    return {status = status, fields = fields or {}, body = cjson.encode(problem)}
end

-- Send it; what is to stand in its head beside is added by the filter of answers.
function _M.send(outcome)
    if outcome.status == 444 then
        return ngx.exit(444)
    end
    ngx.req.discard_body()
    ngx.status = outcome.status
    local header = ngx.header
    for at = 1, #outcome.fields, 2 do
        header[outcome.fields[at]] = outcome.fields[at + 1]
    end
    if outcome.body == "" then
        header["Content-Type"] = nil
        if outcome.status ~= 204 then
            header["Content-Length"] = 0
        end
        ngx.send_headers()
    else
        header["Content-Type"] = "application/problem+json"
        header["Content-Length"] = #outcome.body
        ngx.print(outcome.body)
    end
    return ngx.exit(ngx.HTTP_OK)
end

return _M
