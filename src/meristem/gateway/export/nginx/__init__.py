"""The policy for nginx with Lua: a configuration, the policy as a table of Lua, and the Lua that holds it."""
