// Inputs that several files share, and what the demo provider makes of them.

export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA'
    + 'AABJRU5ErkJggg==';

/** Not one that the SDK warns of. */
export const CLAUDE = 'claude-sonnet-5';

export const user = (content) => [{ role: 'user', content }];

const location = {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 2 } },
    required: ['city', 'days'],
    additionalProperties: false,
};
const zone = { type: 'object', properties: { zone: { type: 'string', enum: ['UTC', 'CET'] } } };

/** [name, schema, the arguments that the demo calls it with] */
export const TOOLS = [
    ['get_weather', location, { city: 'demo', days: 2 }],
    ['get_time', zone, { zone: 'UTC' }],
];
