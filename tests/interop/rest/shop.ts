// A typed client of the shop, as a front end would use it: only what the OpenAPI document says is known here.
import assert from 'node:assert/strict';
import { client } from './client/client.gen.js';
import { ordersOrder, ordersPlace, stockLeft } from './client/index.js';

client.setConfig({ baseUrl: process.argv[2] });

const placed = await ordersPlace({ body: { customer: 'Ada', article: 'lamp', count: 2 } });
if (placed.error) throw new Error(placed.error.detail);
const order = placed.data;
assert.equal(order.count, 2);

const found = await ordersOrder({ path: { order_id: order.order_id } });
assert.deepEqual(found.data, order);

const left = await stockLeft({ path: { article: 'lamp' } });
assert.equal(left.data, 3);

const refused = await ordersPlace({ body: { customer: 'Ada', article: 'lamp', count: 9 } });
const problem = refused.error;
assert(problem && 'fault' in problem && problem.fault === 'OutOfStock'); // a fault has a type of its own …
assert.equal(problem.left, 3); // … with its fields

// @ts-expect-error - a customer is text, and the type checker knows
const wrong = await ordersPlace({ body: { customer: 7, article: 'lamp' } });
assert.equal(wrong.response?.status, 422);

console.log('well');
