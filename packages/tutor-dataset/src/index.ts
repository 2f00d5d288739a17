export {
  ANSWER_HEADINGS,
  type AnswerHeading,
  ENGLISH_ANSWER_HEADINGS,
  hasTutorFormat,
  headingsOf,
} from './answer-format.js';
export { neutralTexts } from './neutral-texts.js';
export { quickstartQuestions } from './quickstart-questions.js';
export { type TopicKeywords, topicKeywords } from './topic-keywords.js';
export { type ChatDataset, type TutorRow, tutorDataset } from './tutor-dataset.js';
