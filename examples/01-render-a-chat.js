// A chat becomes one text; the spans say which of it the assistant wrote.
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';

const template = compileChatTemplate(TUTOR_CHAT_TEMPLATE);
const { text, spans } = template.render([
  { role: 'user', content: '¿Qué es una pila?' },
  { role: 'assistant', content: 'Lo último que entra sale primero.' },
]);
console.log(text.split('\n')[0]); // <|user|>
console.log(text.slice(spans[0].start, spans[0].end)); // Lo último que entra sale primero.<|end|>
