import type { EngineApi, EngineEvent } from '../protocol.js';
import { serve } from '../rpc.js';
import { Engine } from './engine.js';

// Named by the page, which knows where its files lie.
const site = self.name;

const engine: EngineApi = new Engine(site, (event) => send(event));
const send = serve<EngineEvent>(self, engine);
