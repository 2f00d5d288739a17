/**
 * Three questions in Spanish for the system prompt of the dataset. They are about topics of the
 * training split but are in none of the splits.
 */
export const quickstartQuestions: readonly string[] = [
  '¿Me cuentas qué es una pila y para qué sirve?',
  '¿Cómo encuentra un número la búsqueda binaria en una lista ordenada?',
  'Explícame con un ejemplo cómo se recorre un grafo en anchura.',
];
