// The official OpenAI client for Node.
import { play } from './kit.mjs';
import chat from './openai-chat.mjs';
import errors from './openai-errors.mjs';
import json from './openai-json.mjs';
import responses from './openai-responses.mjs';
import tools from './openai-tools.mjs';

await play({ ...chat, ...tools, ...json, ...errors, ...responses });
