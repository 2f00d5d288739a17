/** Beginnings of words that tell a topic, without accents and in lower case. */
export interface TopicKeywords {
  readonly es: readonly string[];
  readonly en: readonly string[];
}

const list = (es: string, en: string): TopicKeywords => ({ es: es.split(' '), en: en.split(' ') });

/**
 * What answers on a topic speak of. A keyword is in a text where one of its words begins with it,
 * accents and case aside: `apil` is in «Apilar cuesta O(1)». Made by hand for this dataset.
 *
 * @example
 * ```ts
 * import { topicKeywords } from '@qlorajs/tutor-dataset';
 *
 * console.log(topicKeywords.pilas!.es.includes('cima')); // true
 * ```
 */
export const topicKeywords: Readonly<Record<string, TopicKeywords>> = {
  arboles: list(
    'arbol nodo raiz hoja hij padre altura izquierd derech subarbol recorr inorden nivel equilibr',
    'tree node root lea child parent height left right subtree travers inorder level balanc',
  ),
  backtracking: list(
    'backtracking decision prueb deshac retroced camino solucion opcion poda combinac permutac reina valid',
    'backtracking decision try undo back path solution option prun combination permutation queen valid',
  ),
  'big-o': list(
    'big crec constante lineal cuadratic logarit exponencial entrada operacion peor caso bucle tamano',
    'big grow constant linear quadratic logarit exponential input operation worst case loop size',
  ),
  busqueda: list(
    'busc busqueda binaria lineal ordenad mitad medio intervalo indice elemento encontr izquierd derech',
    'search binary linear sorted half middle interval index element find left right',
  ),
  colas: list(
    'cola encol desencol frente final primero fifo espera turno circular prioridad deque',
    'queue enqueue dequeue front back rear first fifo wait line circular priority deque',
  ),
  'costo-amortizado': list(
    'amortizad promedio secuencia total operacion duplic capacidad copi credito contador arreglo',
    'amortized average sequence total operation doubl capacity cop credit counter array',
  ),
  'errores-comunes': list(
    'error corrig indice bucle infinit rango variable lista condicion compar copia falla olvid',
    'error fix index loop infinite range variable list condition compar copy fail forget mistake',
  ),
  grafos: list(
    'grafo vertice nodo arista vecin camino anchura profundidad ciclo dirigid peso distancia dijkstra visitad',
    'graph vert node edge neighbo path breadth depth cycle directed weight distance dijkstra visited',
  ),
  heaps: list(
    'heap monticulo minimo maximo raiz hij padre prioridad arreglo sube baja hundir insert extra',
    'heap min max root child parent priority array up down sift insert extract',
  ),
  limites: list(
    'tema ayud algoritmo tarea enunciado codigo dato tutor intent no',
    'topic help algorithm homework statement code data tutor tried not',
  ),
  listas: list(
    'lista nodo enlac siguiente cabeza cola puntero insert borr recorr doble arreglo',
    'list node link next head tail pointer insert delet travers doubly array',
  ),
  ordenamiento: list(
    'orden compar intercambi burbuja insercion seleccion mezcla mergesort quicksort pivote estable mitad',
    'sort compar swap bubble insertion selection merge mergesort quicksort pivot stable half',
  ),
  pilas: list(
    'pila apil desapil cima ultimo primero lifo push pop vaci parentesis llamada',
    'stack push pop top last first lifo empty parenthes call bracket',
  ),
  'programacion-dinamica': list(
    'dinamica subproblema memoria memoiz tabla guard recurrencia optim mejor fibonacci mochila estado celda fila formas dp costo',
    'dynamic subproblem memo table store recurrence optimal best fibonacci knapsack state cell row ways dp cost step',
  ),
  recursion: list(
    'recurs base caso llama funcion factorial pila problema pequen iteracion profundidad misma devuelve paso',
    'recurs base case call function factorial stack problem small iteration depth itself return step',
  ),
  'tablas-hash': list(
    'hash clave valor cubeta colision funcion diccionario tabla factor carga encaden',
    'hash key value bucket collision function dictionary table load factor chain',
  ),
  voraces: list(
    'voraz greedy elige eleccion local optim moneda actividad intervalo mejor solucion ordena mayor menor primero',
    'greedy choose choice local optimal coin activit interval best solution pick sort largest smallest first',
  ),
};
