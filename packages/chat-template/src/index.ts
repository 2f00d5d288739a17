export {
  type ChatMessage,
  type ChatTemplate,
  compileChatTemplate,
  type GenerationSpan,
  type RenderedChat,
  type RenderOptions,
} from './template.js';
export { TUTOR_CHAT_TEMPLATE, TUTOR_MARKERS } from './tutor.js';
